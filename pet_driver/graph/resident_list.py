"""Neighbor lists of structures that stay on the device as long as they are complete."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..runtime.table_sizes import TableSizes
from .collective import Collective, SingleProcess
from .edge_buffers import EdgeBuffers
from .edge_exchange import TableExchange
from .graph import Graph
from .verlet_cache import Listed, VerletList


class ResidentGraphs(ABC):
    """Graphs of the same atoms in many steps, of which each uploads positions, nothing else.

    sizes: number of atoms of each structure; collective: of the processes that share them;
    local: whether all reversed edges are held here.
    """

    sizes: tuple[int, ...]
    collective: Collective = SingleProcess()
    local = True

    @property
    @abstractmethod
    def mean_neighbors(self) -> float:
        """Number of listed neighbors of an atom, on average."""

    @abstractmethod
    def inputs(self) -> NDArray[np.float64]:
        """What a step uploads, (n_rows, 3), angstrom."""

    @abstractmethod
    def graph(self, inputs: Tensor, sizes: TableSizes) -> Graph:
        """Graph of all edges within the cutoff, every slot of whose table is listed as an edge.

        :param inputs: see `inputs`, on the device
        :param sizes: of its table
        """

    def edge_gradients(self, gradient: Tensor) -> Tensor | None:  # noqa: ARG002 (others need it)
        """Gradients with respect to the vectors that an engine has listed, in its order.

        :param gradient: (n_slots, 3), with respect to those of the last graph
        :return: (n_listed, 3), zero for those that are not in the graph; None: no engine lists any
        """
        return None


class ResidentList(ResidentGraphs):
    """All pairs of the Verlet lists of some structures, one after another, on the device.

    Later lists of the same atoms take the place of earlier ones in the same memory, as long as
    there is room.

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
        self.sizes = sizes
        self._numbers = species
        self._edges = EdgeBuffers(torch.as_tensor(species, device=device), sizes, cutoff)
        self._structure = torch.as_tensor(np.repeat(np.arange(len(sizes)), sizes), device=device)
        self._charge_and_spin = (
            None if charge_and_spin is None else charge_and_spin.index_select(0, self._structure)
        )
        self._lists: tuple[VerletList, ...] = ()
        self._listed: Sequence[Listed] = ()

    def update(self, listed: Sequence[Listed]) -> bool:
        """Take up positions, and the lists, if they are others than before.

        :return: whether memory was allocated anew, so that kernels recorded before read the old one
        """
        self._listed = listed
        lists = tuple(x.pairs for x in listed)
        if len(lists) == len(self._lists) and all(
            x is y for x, y in zip(lists, self._lists, strict=True)
        ):
            return False
        edges, counts = self._edges, [len(x.centre) for x in lists]
        before: Sequence[VerletList | None] = self._lists
        grown = not edges.has_room(counts)
        if grown:
            edges.allocate(counts)
            shape, device = (edges.room, 3), self._structure.device
            self._shifts = torch.zeros(shape, dtype=torch.float64, device=device)
            before = [None] * len(lists)
        atoms = np.cumsum([0, *self.sizes])
        for k, (old, new) in enumerate(zip(before, lists, strict=True)):
            if old is new:
                continue
            of_neighbor = self._numbers[atoms[k] + new.neighbor]
            edges.store(k, new.centre, new.neighbor, new.reverse, of_neighbor)
            shifts = torch.from_numpy(new.shifts.astype(np.float64))
            self._shifts[edges.segment(k)][: len(shifts)].copy_(shifts)
        self._lists = lists
        return grown

    @property
    def mean_neighbors(self) -> float:
        """Number of listed neighbors of an atom, on average."""
        return sum(len(x.centre) for x in self._lists) / max(sum(self.sizes), 1)

    def inputs(self) -> NDArray[np.float64]:
        """Cells and positions, (3 n_structures + n_atoms, 3), angstrom."""
        cells = [x.cell for x in self._listed]
        return np.concatenate([*cells, *(x.positions for x in self._listed)])

    def graph(self, inputs: Tensor, sizes: TableSizes) -> Graph:
        """Graph of all edges within the cutoff, see `ResidentGraphs.graph`."""
        edges = self._edges
        cells, positions = inputs[: 3 * len(self.sizes)], inputs[3 * len(self.sizes) :]
        vectors = edges.differences(positions)
        if len(self.sizes) == 1:
            vectors = torch.addmm(vectors, self._shifts, cells)
        else:
            structure = self._structure.index_select(0, edges.centre)
            cell = cells.view(-1, 3, 3).index_select(0, structure)
            vectors = vectors + (self._shifts[:, None, :] @ cell).squeeze(1)
        table = edges.table(vectors, sizes)
        padded = edges.padded(table, self._charge_and_spin)
        return Graph(
            padded,
            table.laid_out(vectors),
            padded.centre,
            TableExchange(table.reverse),
            self._structure,
            self.sizes,
            sum(self.sizes),
        )
