"""How many samples are evaluated at a time, so that intermediate results fit into memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from ..errors import PetDriverError
from ..graph import System
from ..runtime.devices import free_memory, release_memory, short_of_memory
from .sample_memory import SMALLEST_CHUNK

_FIRST_PATIENCE = 16  # evaluations in a smaller chunk before a larger one is tried again
_MOST_PATIENCE = 4096
_MOST_ATOMS_ON_CPU = 800  # in a batch of several structures; larger ones are slower per atom
T = TypeVar("T")


class Chunking:
    """Share of the free memory for intermediate results, and the response to a shortage.

    After a shortage the chunk is halved; after a number of evaluations without one it is doubled
    again. Every doubling doubles that number.

    :param share: of the free memory that may be used for intermediate results
    :param chunk: most (centre, frame) samples evaluated at a time, None: chosen by the memory
        present

    chunk: the number used now.
    """

    def __init__(self, device: torch.device, share: float, chunk: int | None) -> None:
        self.device, self.share, self.chunk = device, share, chunk
        self._wanted = chunk
        self._halvings = 0
        self._successes, self._patience = 0, _FIRST_PATIENCE

    def allowed(self) -> int:
        """Bytes that intermediate results may take now."""
        return int(self.share * free_memory(self.device))

    def retried(self, attempt: Callable[[], T], samples: Callable[[], int]) -> T:
        """Call a function; after each shortage of memory, again with half of the chunk.

        :param samples: number from which halving starts where no chunk is set, the same on all
            ranks; collective
        :raises PetDriverError: if the smallest chunk does not fit
        """
        while True:
            try:
                result = attempt()
            except RuntimeError as error:
                if not short_of_memory(error):
                    raise
                most = samples()
                count = min(self.chunk or most, most)
                if self.chunk is not None and count <= SMALLEST_CHUNK:
                    raise PetDriverError(
                        f"out of memory on {self.device}, even with {count} samples at a time; "
                        "give each process fewer atoms, or a device with more memory"
                    ) from error
            else:
                self._grow_back()
                return result
            # Not within `except`: its traceback holds the tensors of the evaluation that failed.
            self._halve(count)

    def _halve(self, samples: int) -> None:
        """Go on with half of this number of samples at a time."""
        self.chunk = max(samples // 2, 1)
        self._halvings += 1
        self._successes = 0
        if self.device.type == "cuda":
            release_memory()
        warnings.warn(
            f"out of memory on {self.device}: going on with chunks of {self.chunk}", stacklevel=4
        )

    def _grow_back(self) -> None:
        if not self._halvings or self.chunk is None:
            return
        self._successes += 1
        if self._successes < self._patience:
            return
        self._halvings -= 1
        self.chunk = 2 * self.chunk if self._halvings else self._wanted
        self._successes, self._patience = 0, min(2 * self._patience, _MOST_PATIENCE)


def batches_for(device: torch.device, systems: Sequence[System]) -> Iterator[list[System]]:
    """Split structures into batches: on a CPU, of no more atoms than fit into its caches."""
    batch: list[System] = []
    atoms = 0
    for system in systems:
        atoms += len(system)
        if batch and device.type == "cpu" and atoms > _MOST_ATOMS_ON_CPU:
            yield batch
            batch, atoms = [], len(system)
        batch.append(system)
    if batch:
        yield batch
