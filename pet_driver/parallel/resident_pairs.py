"""Pairs that an engine lists anew in every step, all atoms on one rank: paired on the device."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..graph import (
    NEIGHBORS,
    TOO_CLOSE,
    Graph,
    ListedEdges,
    NeighborTable,
    PaddedNeighbors,
    ResidentGraphs,
    TableExchange,
    with_zero_row,
)
from ..runtime.table_sizes import TableSizes
from .edge_pairing import GENERIC_DIRECTION, ROUNDING, SAME_DISPLACEMENT

_ROOM = 1.1  # for the pairs of later steps


class ListedPairs(NamedTuple):
    """The pairs of one step, on the device.

    species: (n_atoms,), species indices; centre, neighbor: (n_pairs,), indices of atoms, for a
    ghost that of its atom; vectors: (n_pairs, 3), from centre to neighbor, angstrom.
    """

    species: Tensor
    centre: Tensor
    neighbor: Tensor
    vectors: Tensor


class ResidentPairs(ResidentGraphs):
    """The pairs of local atoms within the cutoff, in memory that those of later steps take over.

    The atoms are all on this rank, their images are ghosts. The order of the pairs is the engine's,
    and so the reversed pairs have to be found in every step: pairs and reversed pairs are sorted
    together, by their atoms and by the projection of the displacement, and stand side by side then.

    :param n_atoms: number of atoms
    :param cutoff: distance within which the engine lists pairs, angstrom
    :param charge_and_spin: (1, 2), None: the model depends on neither
    """

    def __init__(
        self,
        n_atoms: int,
        cutoff: float,
        device: torch.device,
        charge_and_spin: Tensor | None = None,
    ) -> None:
        self.sizes = (n_atoms,)
        self._cutoff = cutoff
        self._charge_and_spin = charge_and_spin
        self._species = torch.zeros(n_atoms, dtype=torch.int64, device=device)
        self._direction = torch.tensor(GENERIC_DIRECTION, dtype=torch.float64, device=device)
        self._count = 0
        self._allocate(1)

    def _allocate(self, room: int) -> None:
        device = self._species.device
        self._ends = torch.zeros((2, room), dtype=torch.int64, device=device)
        self._vectors = torch.zeros((room, 3), dtype=torch.float64, device=device)
        self._slots = torch.zeros(room, dtype=torch.int64, device=device)

    def update(self, listed: ListedPairs) -> bool:
        """Take up the pairs of a step.

        :return: whether memory was allocated anew, so that kernels recorded before read the old one
        """
        count, n_atoms = len(listed.centre), self.sizes[0]
        grown = count > len(self._vectors)
        if grown:
            self._allocate(int(_ROOM * count) + 1)
        self._count = count
        self._species.copy_(listed.species)
        # Pairs that are not there belong to an atom after the last one.
        for row, given in zip(self._ends, (listed.centre, listed.neighbor), strict=True):
            row[:count].copy_(given)
            row[count:].fill_(n_atoms)
        self._vectors[:count].copy_(listed.vectors)
        return grown

    @property
    def mean_neighbors(self) -> float:
        """Number of listed neighbors of an atom, on average."""
        return self._count / max(self.sizes[0], 1)

    def inputs(self) -> NDArray[np.float64]:
        """Nothing: all of it is on the device."""
        return np.zeros((0, 3))

    def graph(self, inputs: Tensor, sizes: TableSizes) -> Graph:  # noqa: ARG002 (there are none)
        """Graph of all pairs, see `ResidentGraphs.graph`."""
        n_atoms, room, device = self.sizes[0], len(self._vectors), self._vectors.device
        lengths = torch.linalg.vector_norm(self._vectors, dim=1)
        there = self._ends[0] < n_atoms
        reverse = self._reversed()
        paired = there & (reverse < room)
        # By rounding, a pair at the cutoff may be listed without the reversed one.
        lonely = ~paired & (lengths < self._cutoff - ROUNDING)
        sizes.note(there & (lonely | (lengths < TOO_CLOSE)))

        centre, order = torch.sort(self._ends[0], stable=True)
        index = torch.arange(room, device=device)
        place = torch.full((room + 1,), room, device=device).index_copy(0, order, index)
        edges = ListedEdges(
            centre.clamp_max(n_atoms - 1),
            torch.searchsorted(centre, centre),
            place.index_select(0, reverse.index_select(0, order)),
            n_atoms,
        )
        table = NeighborTable.of(edges, paired.index_select(0, order), sizes, NEIGHBORS)
        self._slots = table.slots.index_select(0, place[:-1])
        given = self._charge_and_spin
        neighbor = self._ends[1].index_select(0, order).clamp_max(n_atoms - 1)
        padded = PaddedNeighbors.of_table(
            table,
            self._species,
            self._species.index_select(0, neighbor),
            None if given is None else given.expand(n_atoms, 2),
        )
        vectors = table.laid_out(self._vectors.index_select(0, order))
        exchange = TableExchange(table.reverse)
        return Graph.of_one_structure(padded, vectors, padded.centre, exchange, n_atoms)

    def edge_gradients(self, gradient: Tensor) -> Tensor:
        """Gradients with respect to the vectors of the pairs, see `ResidentGraphs`."""
        return with_zero_row(gradient).index_select(0, self._slots[: self._count])

    def _reversed(self) -> Tensor:
        """Index of the reversed pair of each pair, (room,); room where there is none."""
        room = len(self._vectors)
        centre, neighbor = self._ends
        stride = self.sizes[0] + 1
        keys = torch.cat(
            [torch.add(neighbor, centre, alpha=stride), torch.add(centre, neighbor, alpha=stride)]
        )
        vectors = torch.cat([self._vectors, -self._vectors])
        by_projection = torch.argsort(vectors @ self._direction)
        sequence = by_projection[torch.argsort(keys[by_projection], stable=True)]
        keys, vectors, own = keys[sequence], vectors[sequence], sequence < room
        apart = (vectors[1:] - vectors[:-1]).abs().amax(1)
        side_by_side = (keys[1:] == keys[:-1]) & (own[1:] != own[:-1]) & (apart < SAME_DISPLACEMENT)
        first, second = sequence[:-1], sequence[1:]
        pair = torch.where(side_by_side, torch.minimum(first, second), room)
        reverse = torch.full((room + 1,), room, device=pair.device)
        reverse = reverse.scatter(0, pair, torch.maximum(first, second) - room)
        return reverse[:-1]
