"""Listed edges in memory of the device that later lists take over."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..runtime.table_sizes import TableSizes
from .neighbor_list import TOO_CLOSE
from .neighbor_table import ListedEdges, NeighborTable
from .padded import PaddedNeighbors

_ROOM = 1.1  # for the edges of later lists
NEIGHBORS = "neighbors"  # name of the size of the table


class EdgeBuffers:
    """Edges of a neighbor list on the device, and room for more.

    :param species: (n_centres,), species indices of the centres
    :param cutoff: angstrom

    centre, neighbor: (room,), indices of atoms; reverse: (room,), index of the reversed edge, room
    where another rank holds it; listed: (room,), whether there is such an edge, False for the last
    ones; of_neighbor: (room,), species index of the neighbor.
    """

    def __init__(self, species: Tensor, cutoff: float) -> None:
        self.species, self.cutoff = species, cutoff
        self.n_centres, self.room = len(species), -1

    def store(
        self,
        centre: NDArray[np.int64],
        neighbor: NDArray[np.int64],
        reverse: NDArray[np.int64],
        of_neighbor: NDArray[np.int64],
    ) -> bool:
        """Take up the edges of a list.

        :param centre: (n_edges,), ascending
        :param reverse: (n_edges,), -1 where another rank holds the reversed edge
        :param of_neighbor: (n_edges,), species index of each neighbor
        :return: whether memory was allocated anew, so that kernels recorded before read the old one
        """
        count, device = len(centre), self.species.device
        grown = count > self.room
        if grown:
            self.room = int(_ROOM * count) + 1
            self._columns = torch.zeros((4, self.room), dtype=torch.int64, device=device)
            self.listed = torch.zeros(self.room, dtype=torch.bool, device=device)
            self._first = torch.zeros(self.n_centres, dtype=torch.int64, device=device)
        # Edges that are not there come at the end, as centres must ascend.
        table = np.zeros((4, self.room), dtype=np.int64)
        table[0] = max(self.n_centres - 1, 0)
        table[2] = np.arange(self.room)
        for row, column in zip(table, (centre, neighbor, reverse, of_neighbor), strict=True):
            row[:count] = column
        table[2, table[2] < 0] = self.room
        self._columns.copy_(torch.from_numpy(table))
        self.listed.copy_(torch.arange(self.room) < count)
        starts = np.searchsorted(centre, np.arange(self.n_centres))
        self._first.copy_(torch.from_numpy(np.minimum(starts, max(count - 1, 0))))
        self.centre, self.neighbor, self.reverse, self.of_neighbor = self._columns
        return grown

    def table(self, vectors: Tensor, sizes: TableSizes) -> NeighborTable:
        """Lay out the edges within the cutoff.

        :param vectors: (room, 3), from centre to neighbor, angstrom
        :param sizes: that of `NEIGHBORS` is the width of the table; atoms that are closer than 0.1
            angstrom are noted there
        """
        lengths = torch.linalg.vector_norm(vectors, dim=1)
        sizes.note((self.listed & (lengths < TOO_CLOSE)).any())
        keep = self.listed & (lengths < self.cutoff)
        edges = ListedEdges(self.centre, self._first, self.reverse)
        return NeighborTable.of(edges, keep, sizes, NEIGHBORS)

    def padded(
        self, table: NeighborTable, charge_and_spin: Tensor | None = None
    ) -> PaddedNeighbors:
        """The table as neighbors of the centres.

        :param charge_and_spin: (n_centres, 2), None: not given
        """
        shape = (self.n_centres, table.n_neighbors)
        species = self.of_neighbor.index_select(0, table.source)
        return PaddedNeighbors(
            self.n_centres,
            table.n_neighbors,
            torch.arange(len(table.valid), device=species.device),
            self.species,
            torch.where(table.valid, species, 0).view(shape),
            table.valid.view(shape),
            charge_and_spin,
            full=True,
        )
