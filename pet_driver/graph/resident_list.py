"""Neighbor lists that stay on the device as long as they are complete."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..runtime.table_sizes import TableSizes
from .edge_exchange import LocalExchange
from .graph import Graph
from .neighbor_list import TOO_CLOSE
from .neighbor_table import ListedEdges, NeighborTable
from .padded import PaddedNeighbors
from .verlet_cache import Listed, VerletList

_ROOM = 1.1  # for the edges of later lists
NEIGHBORS = "neighbors"  # name of the size of its table


class ResidentList:
    """All pairs of the Verlet lists of some structures, one after another, on the device.

    A step uploads positions and cells, nothing else. Later lists of the same atoms take the place
    of earlier ones in the same memory, as long as there is room.

    :param species: (n_atoms,), species indices of all atoms
    :param sizes: number of atoms of each structure
    :param cutoff: angstrom
    :param charge_and_spin: (n_structures, 2), None: the model depends on neither
    """

    def __init__(
        self,
        species: NDArray[np.int64],
        sizes: tuple[int, ...],
        cutoff: float,
        device: torch.device,
        charge_and_spin: Tensor | None = None,
    ) -> None:
        self.sizes, self.cutoff, self.device = sizes, cutoff, device
        self._species = torch.as_tensor(species, device=device)
        self._structure = torch.as_tensor(np.repeat(np.arange(len(sizes)), sizes), device=device)
        self._charge_and_spin = (
            None if charge_and_spin is None else charge_and_spin.index_select(0, self._structure)
        )
        self._lists: tuple[VerletList, ...] = ()
        self._room = -1

    def update(self, listed: Sequence[Listed]) -> bool:
        """Take up the lists, if they are others than before.

        :return: whether memory was allocated anew, so that kernels recorded before read the old one
        """
        lists = tuple(x.pairs for x in listed)
        if len(lists) == len(self._lists) and all(
            x is y for x, y in zip(lists, self._lists, strict=True)
        ):
            return False
        self._lists = lists
        columns, shifts = _joined(lists, self.sizes)
        count = len(shifts)
        grown = count > self._room
        if grown:
            self._room = int(_ROOM * count) + 1
            self._integers = torch.zeros((3, self._room), dtype=torch.int64, device=self.device)
            self._shifts = torch.zeros((self._room, 3), dtype=torch.float64, device=self.device)
            self._listed = torch.zeros(self._room, dtype=torch.bool, device=self.device)
            self._first = torch.zeros(sum(self.sizes), dtype=torch.int64, device=self.device)
        last = sum(self.sizes) - 1
        # Edges that are not there come at the end, as centres must ascend.
        table = np.full((3, self._room), last, dtype=np.int64)
        table[2] = np.arange(self._room)
        for row, column in zip(table, columns, strict=True):
            row[:count] = column
        self._integers.copy_(torch.from_numpy(table))
        self._shifts[:count].copy_(torch.from_numpy(shifts))
        self._listed.copy_(torch.arange(self._room) < count)
        starts = np.searchsorted(columns[0], np.arange(last + 1))
        self._first.copy_(torch.from_numpy(np.minimum(starts, max(count - 1, 0))))
        return grown

    def inputs(self, listed: Sequence[Listed]) -> NDArray[np.float64]:
        """Cells and positions in one array, (3 n_structures + n_atoms, 3), angstrom."""
        return np.concatenate([*(x.cell for x in listed), *(x.positions for x in listed)])

    def graph(self, inputs: Tensor, sizes: TableSizes) -> Graph:
        """Graph of all edges within the cutoff, every slot of whose table is listed as an edge.

        :param inputs: see `inputs`, on the device
        :param sizes: that of `NEIGHBORS` is the width of the table; atoms that are closer than 0.1
            angstrom are noted there
        """
        centre, neighbor, reverse = self._integers
        cells, positions = inputs[: 3 * len(self.sizes)], inputs[3 * len(self.sizes) :]
        vectors = positions.index_select(0, neighbor) - positions.index_select(0, centre)
        if len(self.sizes) == 1:
            vectors = vectors + self._shifts @ cells
        else:
            cell = cells.view(-1, 3, 3).index_select(0, self._structure.index_select(0, centre))
            vectors = vectors + (self._shifts[:, None, :] @ cell).squeeze(1)
        lengths = torch.linalg.vector_norm(vectors, dim=1)
        keep = self._listed & (lengths < self.cutoff)
        sizes.note((self._listed & (lengths < TOO_CLOSE)).any())
        edges = ListedEdges(centre, self._first, reverse)
        table = NeighborTable.of(edges, keep, sizes, NEIGHBORS)
        return self._graph(table, vectors, neighbor)

    def _graph(self, table: NeighborTable, vectors: Tensor, neighbor: Tensor) -> Graph:
        n_atoms, valid = sum(self.sizes), table.valid
        shape = (n_atoms, table.n_neighbors)
        of_neighbor = self._species.index_select(0, neighbor.index_select(0, table.source))
        padded = PaddedNeighbors(
            n_atoms,
            table.n_neighbors,
            torch.arange(len(valid), device=valid.device),
            self._species,
            torch.where(valid, of_neighbor, 0).view(shape),
            valid.view(shape),
            self._charge_and_spin,
            full=True,
        )
        vectors = torch.where(valid[:, None], vectors.index_select(0, table.source), 0.0)
        return Graph(
            padded,
            vectors,
            padded.centre,
            LocalExchange(table.reverse),
            self._structure,
            self.sizes,
            n_atoms,
        )


def _joined(
    lists: Sequence[VerletList], sizes: Sequence[int]
) -> tuple[list[NDArray[np.int64]], NDArray[np.float64]]:
    """All pairs: centre, neighbor and reversed pair, (n_pairs,) each; cell shifts, (n_pairs, 3)."""
    atoms = np.cumsum([0, *sizes[:-1]])
    pairs = np.cumsum([0, *(len(x.centre) for x in lists[:-1])])
    columns = [
        np.concatenate([x.centre + start for x, start in zip(lists, atoms, strict=True)]),
        np.concatenate([x.neighbor + start for x, start in zip(lists, atoms, strict=True)]),
        np.concatenate([x.reverse + start for x, start in zip(lists, pairs, strict=True)]),
    ]
    return columns, np.concatenate([x.shifts for x in lists]).astype(np.float64)
