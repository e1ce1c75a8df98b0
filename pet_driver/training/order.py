"""Order of the training structures: shuffled epochs, cut into batches."""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor


class OrderState(TypedDict):
    """State of an order.

    shuffle: of the random number generator; queue: batches left of this epoch.
    """

    shuffle: Tensor
    queue: list[list[int]]


class Order:
    """Endless batches of positions in a list of structures; the same for the same seed.

    :param sizes: numbers of atoms of the structures
    :param count: size of a batch in structures; atoms: in atoms, see `grouped`
    :param seed: of the shuffling
    """

    def __init__(self, sizes: list[int], count: int, atoms: int | None, seed: int) -> None:
        self.sizes, self.count, self.atoms = sizes, count, atoms
        self._shuffle = torch.Generator().manual_seed(seed)
        self._queue: list[list[int]] = []

    def next(self) -> list[int]:
        """Positions of the structures of the next batch."""
        if not self._queue:
            order = torch.randperm(len(self.sizes), generator=self._shuffle).tolist()
            batches = grouped([self.sizes[i] for i in order], self.count, self.atoms)
            self._queue = [[order[k] for k in batch] for batch in batches]
        return self._queue.pop(0)

    def state(self) -> OrderState:
        """State for `restore`."""
        return {"shuffle": self._shuffle.get_state(), "queue": list(self._queue)}

    def restore(self, state: OrderState) -> None:
        """Continue from the state of another order.

        If structures of its epoch no longer exist, a new epoch begins.
        """
        self._shuffle.set_state(state["shuffle"].cpu())
        fits = all(i < len(self.sizes) for batch in state["queue"] for i in batch)
        self._queue = list(state["queue"]) if fits else []


def grouped(sizes: list[int], count: int, atoms: int | None) -> list[list[int]]:
    """Batches of positions in a list of structures.

    :param sizes: numbers of atoms of the structures
    :param count: structures in a batch, where `atoms` is None
    :param atoms: most atoms of a batch of more than one structure
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
