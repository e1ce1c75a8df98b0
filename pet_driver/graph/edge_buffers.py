"""Listed edges in memory of the device that later lists take over."""

from __future__ import annotations

from collections.abc import Sequence

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
    """Edges of neighbor lists on the device, one segment for each structure, with room for more.

    :param species: (n_centres,), species indices of the centres
    :param sizes: number of centres of each structure
    :param cutoff: angstrom

    centre, neighbor: (room,), indices of atoms; reverse: (room,), index of the reversed edge, room
    where another rank holds it; of_neighbor: (room,), species index of the neighbor; listed:
    (room,), whether there is such an edge.
    """

    def __init__(self, species: Tensor, sizes: Sequence[int], cutoff: float) -> None:
        self.species, self.cutoff = species, cutoff
        self.n_centres = len(species)
        self._atoms = np.cumsum([0, *sizes])
        self._starts = np.zeros(1, dtype=np.int64)

    @property
    def room(self) -> int:
        """Number of edges that there is room for."""
        return int(self._starts[-1])

    def has_room(self, counts: Sequence[int]) -> bool:
        """Whether there is room for so many edges in the segments."""
        rooms = np.diff(self._starts)
        return len(rooms) == len(counts) and bool((np.array(counts) <= rooms).all())

    def allocate(self, counts: Sequence[int]) -> None:
        """Make room for so many edges in the segments, and some more; what was there is lost."""
        device = self.species.device
        starts = np.cumsum([0, *(int(_ROOM * count) + 1 for count in counts)])
        columns = torch.zeros((5, int(starts[-1])), dtype=torch.int64, device=device)
        self.listed = torch.zeros(int(starts[-1]), dtype=torch.bool, device=device)
        self.centre, self.neighbor, self.reverse, self.of_neighbor, self._first = columns
        # Last, as there may be no memory.
        self._columns, self._starts = columns, starts

    def segment(self, k: int) -> slice:
        """Edges of structure k."""
        return slice(int(self._starts[k]), int(self._starts[k + 1]))

    def store(self, k: int, *columns: NDArray[np.int64]) -> None:
        """Take up the edges of structure k, for which there is room.

        :param columns: (n_edges,) each: centre, ascending; neighbor; reversed edge, -1 where
            another rank holds it; species index of the neighbor. All count from 0 in the structure
        """
        segment, atoms = self.segment(k), slice(int(self._atoms[k]), int(self._atoms[k + 1]))
        count, start = len(columns[0]), segment.start
        # Edges that are not there come at the end, as centres must ascend.
        table = np.zeros((5, segment.stop - start), dtype=np.int64)
        table[0] = max(atoms.stop - 1, 0)
        table[2] = np.arange(start, segment.stop)
        offsets = (atoms.start, atoms.start, start, 0)
        for row, column, offset in zip(table, columns, offsets, strict=False):
            row[:count] = column + offset
        table[2, :count][columns[2] < 0] = self.room
        table[4] = start + np.searchsorted(table[0], table[0])
        self._columns[:, segment].copy_(torch.from_numpy(table))
        self.listed[segment].copy_(torch.arange(table.shape[1]) < count)

    def differences(self, positions: Tensor) -> Tensor:
        """Positions of neighbors less those of centres, (room, 3).

        :param positions: (n_atoms, 3)
        """
        ends = positions.index_select(0, self._columns[:2].view(-1)).view(2, -1, 3)
        return ends[1] - ends[0]

    def table(self, vectors: Tensor, sizes: TableSizes) -> NeighborTable:
        """Lay out the edges within the cutoff.

        :param vectors: (room, 3), from centre to neighbor, angstrom
        :param sizes: that of `NEIGHBORS` is the width of the table; atoms that are closer than 0.1
            angstrom are noted there
        """
        lengths = torch.linalg.vector_norm(vectors, dim=1)
        sizes.note(self.listed & (lengths < TOO_CLOSE))
        keep = self.listed & (lengths < self.cutoff)
        edges = ListedEdges(self.centre, self._first, self.reverse, self.n_centres)
        return NeighborTable.of(edges, keep, sizes, NEIGHBORS)

    def padded(
        self, table: NeighborTable, charge_and_spin: Tensor | None = None
    ) -> PaddedNeighbors:
        """The table as neighbors of the centres.

        :param charge_and_spin: (n_centres, 2), None: not given
        """
        return PaddedNeighbors.of_table(table, self.species, self.of_neighbor, charge_and_spin)
