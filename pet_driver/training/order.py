"""The order in which structures are shown: shuffled epochs, cut into batches."""

from __future__ import annotations

import torch
from torch import Tensor


class Order:
    """Endless batches of positions in a list of structures; the same for the same seed.

    :param sizes: numbers of atoms of the structures
    :param count, atoms: what a batch holds, see `grouped`
    """

    def __init__(self, sizes: list[int], count: int, atoms: int | None, seed: int) -> None:
        self.sizes, self.count, self.atoms = sizes, count, atoms
        self._shuffle = torch.Generator().manual_seed(seed)
        self._queue: list[list[int]] = []

    def next(self) -> list[int]:
        """Positions of the next batch."""
        if not self._queue:
            order = torch.randperm(len(self.sizes), generator=self._shuffle).tolist()
            batches = grouped([self.sizes[i] for i in order], self.count, self.atoms)
            self._queue = [[order[k] for k in batch] for batch in batches]
        return self._queue.pop(0)

    def state(self) -> dict[str, Tensor | list[list[int]]]:
        """What `restore` needs."""
        return {"shuffle": self._shuffle.get_state(), "queue": list(self._queue)}

    def restore(self, state: dict[str, Tensor | list[list[int]]]) -> None:
        """Go on where another order stood.

        An epoch with structures that are no longer there ends.
        """
        self._shuffle.set_state(state["shuffle"].cpu())
        fits = all(i < len(self.sizes) for batch in state["queue"] for i in batch)
        self._queue = list(state["queue"]) if fits else []


def grouped(sizes: list[int], count: int, atoms: int | None) -> list[list[int]]:
    """Positions in a list of structures, batch by batch.

    :param sizes: numbers of atoms
    :param count: structures in a batch, where `atoms` is None
    :param atoms: a batch is closed when another structure would take it beyond so many atoms
    """
    batches: list[list[int]] = []
    held = 0
    for position, size in enumerate(sizes):
        if not batches or (len(batches[-1]) >= count if atoms is None else held + size > atoms):
            batches.append([])
            held = 0
        batches[-1].append(position)
        held += size
    return batches
