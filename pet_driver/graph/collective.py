"""Collective operations of the processes that share a structure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray


class Collective(ABC):
    """Agreement and sums over the processes that share a graph. All methods are collective."""

    @abstractmethod
    @contextmanager
    def evaluation(self) -> Iterator[None]:
        """Context of one evaluation: if it fails on any process, it fails on all of them.

        :raises PetDriverError: the message of the first process that failed
        :raises torch.OutOfMemoryError: if that is what failed
        """

    @abstractmethod
    def total(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum over the processes, in float64."""

    @abstractmethod
    def largest(self, value: int) -> int:
        """Maximum over the processes."""


class SingleProcess(Collective):
    """One process holds the whole graph."""

    @contextmanager
    def evaluation(self) -> Iterator[None]:
        """Context that adds nothing."""
        yield

    def total(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values."""
        return values

    def largest(self, value: int) -> int:
        """Return the value."""
        return value
