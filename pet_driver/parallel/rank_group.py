"""The ranks that share a structure: agreement on failures, sums, and messages between ranks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..graph import Collective
from ..runtime.stopwatch import Stopwatch
from .collectives import agree
from .transport import Transport

if TYPE_CHECKING:
    from mpi4py import MPI


class RankGroup(Collective):
    """Ranks of a communicator. All methods are collective.

    :param comm: communicator of the ranks that share the structure

    watch: seconds spent on "exchange", waiting for other ranks included; transport: messages of an
    evaluation.
    """

    def __init__(self, comm: MPI.Comm) -> None:
        self.comm = comm
        self.watch = Stopwatch()
        self.transport = Transport(comm.Dup(), self.watch)

    @contextmanager
    def evaluation(self) -> Iterator[None]:
        """Context of one evaluation: if it fails on any rank, it fails on all of them.

        :raises PetDriverError: the message of the first rank that failed
        :raises torch.OutOfMemoryError: if that is what failed
        """
        self.transport.begin()
        with self.agreement():
            yield

    @contextmanager
    def agreement(self) -> Iterator[None]:
        """Context whose body runs on every rank; if it fails on any, it fails on all of them.

        :raises PetDriverError: on every rank, the message of the first rank that failed
        :raises torch.OutOfMemoryError: on every rank, if that is what failed
        """
        error: Exception | None = None
        try:
            yield
        except Exception as caught:  # of any kind: the other ranks must fail too
            error = caught
            self.transport.settle()
        with self.watch.measure("exchange"):
            agree(self.comm, error, self.transport.answer_as_failed)

    def total(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum over all ranks, in float64."""
        result = np.empty_like(values, dtype=np.float64)
        with self.watch.measure("exchange"):
            self.comm.Allreduce(np.ascontiguousarray(values, dtype=np.float64), result)
        return result

    def largest(self, value: int) -> int:
        """Maximum over all ranks."""
        from mpi4py import MPI

        with self.watch.measure("exchange"):
            return int(self.comm.allreduce(value, op=MPI.MAX))

    def close(self) -> None:
        """Free the communicator of the messages."""
        self.transport.comm.Free()
