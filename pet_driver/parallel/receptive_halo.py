"""Receptive halo: message passing without exchange between ranks.

Ghosts are evaluated too, in every layer those whose messages the next layer still needs.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..graph import BothEndsExchange, Graph, PaddedNeighbors, Truncation, inverse_index
from ..model import LayerMap
from .ghosts import GhostOwners
from .transport import Transport


@dataclass(frozen=True)
class ReceptiveHalo(BothEndsExchange):
    """Edges of local atoms, and of all ghosts whose messages their energies depend on.

    n_atoms: number of atoms, ghosts included; centre, neighbor: (n_edges,), indices of the atoms;
    reverse: (n_edges,), index of the reversed edge, arbitrary where it is not needed; row:
    (n_edges,), index of the centre of each edge among the centres; distances: (n_centres,), number
    of edges between each centre and the nearest local atom; depth: number of cutoffs over which an
    energy depends on other atoms; owners, transport: to return forces on ghosts to their owners,
    None: the engine does.
    """

    n_atoms: int
    centre: Tensor
    neighbor: Tensor
    reverse: Tensor
    row: Tensor
    distances: Tensor
    depth: int
    owners: GhostOwners | None = None
    transport: Transport | None = None

    def messages(self, padded: PaddedNeighbors) -> list[LayerMap]:
        """Map from each layer to the next; the outermost ghosts are left out each time."""
        slots = torch.zeros_like(padded.valid, dtype=torch.long).view(-1)
        slots[padded.slots] = padded.slots[self.reverse]
        slots = slots.view_as(padded.valid)
        maps = []
        before = torch.arange(padded.n_centres, device=slots.device)
        for layers_left in range(self.depth - 1, 0, -1):
            after = torch.nonzero(self.distances < layers_left).view(-1)
            maps.append(_layer_map(before, after, slots, padded.valid))
            before = after
        return maps

    def local_reverse(self) -> Tensor:
        """Index of the reversed edge of each edge, (n_edges,)."""
        return self.reverse

    def at_neighbors(self, padded: PaddedNeighbors, values: Tensor) -> Tensor:  # noqa: ARG002
        """Values of the neighbors, which are the centres of the reversed edges."""
        return values.index_select(0, self.row[self.reverse])

    def truncated(self, keep: Tensor) -> Truncation:
        """Leave out edges beyond the cutoff, and the outermost centres, of unknown cutoffs."""
        centres = torch.nonzero(self.distances < self.depth - 1).view(-1)
        whole = self.distances[self.row] < self.depth - 1
        kept = torch.nonzero(whole & (keep | keep[self.reverse])).view(-1)
        order = torch.zeros_like(self.row)
        order[kept] = torch.arange(len(kept), device=kept.device)
        exchange = dataclasses.replace(
            self,
            centre=self.centre[kept],
            neighbor=self.neighbor[kept],
            reverse=order[self.reverse[kept]],
            row=inverse_index(centres, len(self.distances))[self.row[kept]],
            distances=self.distances[centres],
            depth=self.depth - 1,
        )
        return Truncation(exchange, kept, centres)

    def to_owned(self, atoms: Tensor, n_owned: int) -> Tensor:
        """Rows of the local atoms, with those of their ghosts added. Collective."""
        if self.owners is None or self.transport is None:
            return super().to_owned(atoms, n_owned)
        return self.owners.returned(atoms, self.transport)


def receptive_graph(
    n_local: int,
    depth: int,
    species: NDArray[np.int64],
    edges: tuple[NDArray[np.int64], NDArray[np.int64]],
    vectors: Tensor,
    owners: GhostOwners | None = None,
    transport: Transport | None = None,
) -> Graph:
    """Make the graph of local atoms and of all ghosts whose messages their energies depend on.

    ``listed`` of the graph has the indices of the edges that are evaluated.

    :param n_local: number of local atoms, which come before the ghosts
    :param depth: number of cutoffs over which an energy depends on other atoms
    :param species: (n_atoms,), species index of each atom, ghosts included
    :param edges: centre and neighbor, (n_edges,) each, of all edges within the cutoff, those of
        ghosts included, sorted by centre
    :param vectors: (n_edges, 3), angstrom, float64, on the device of the graph
    :param owners, transport: to return forces on ghosts to their owners; None: the engine does
    """
    centre, neighbor = edges
    device, n_atoms = vectors.device, len(species)
    distances = edges_from_local(n_atoms, n_local, edges, depth - 1)
    centres = np.nonzero(distances < depth)[0]
    used = np.nonzero(distances[centre] < depth)[0]
    i, j = centre[used], neighbor[used]
    index_map = np.full(n_atoms, -1)
    index_map[centres] = np.arange(len(centres))
    row = index_map[i]

    def tensor(array: NDArray[np.int64]) -> Tensor:
        return torch.as_tensor(array, device=device)

    exchange = ReceptiveHalo(
        n_atoms=n_atoms,
        centre=tensor(i),
        neighbor=tensor(j),
        reverse=tensor(_reversed_edges(i, j, n_atoms)),
        row=tensor(row),
        distances=tensor(distances[centres]),
        depth=depth,
        owners=owners,
        transport=transport,
    )
    graph = Graph.of_one_structure(
        PaddedNeighbors.from_edges(row, species[centres], species[j], device),
        vectors[tensor(used)],
        exchange.row,
        exchange,
        n_local,
    )
    return dataclasses.replace(graph, listed=used)


def edges_from_local(
    n_atoms: int, n_local: int, edges: tuple[NDArray[np.int64], NDArray[np.int64]], most: int
) -> NDArray[np.int64]:
    """Number of edges between each atom and the nearest local one, (n_atoms,).

    :param edges: centre and neighbor, (n_edges,) each
    :param most: where there are more edges between them, the result is ``most + 1``
    """
    centre, neighbor = edges
    distances = np.full(n_atoms, most + 1)
    distances[:n_local] = 0
    for distance in range(most):
        reached = neighbor[distances[centre] == distance]
        distances[reached] = np.minimum(distances[reached], distance + 1)
    return distances


def _reversed_edges(i: NDArray[np.int64], j: NDArray[np.int64], n_atoms: int) -> NDArray[np.int64]:
    """Index of the edge from j to i of each edge, (n_edges,).

    Arbitrary where there is none: such edges lead to atoms whose messages are not needed.
    """
    if not len(i):
        return np.zeros(0, dtype=np.int64)
    keys = i * n_atoms + j
    order = np.argsort(keys)
    found = np.searchsorted(keys, j * n_atoms + i, sorter=order)
    return order[np.minimum(found, len(keys) - 1)]


def _layer_map(before: Tensor, after: Tensor, reversed_slots: Tensor, valid: Tensor) -> LayerMap:
    """Map from the centres of one layer to those of the next.

    :param before, after: centres of this layer and of the next, ascending
    :param reversed_slots: (n_centres, n_neighbors), flat slot of the reversed edge
    """
    width = valid.shape[1]
    slots, present = reversed_slots[after], valid[after]
    slots = torch.where(present, slots, after[:, None] * width)
    source = torch.searchsorted(before, slots // width) * width + slots % width

    def exchange(outgoing: Tensor) -> Tensor:
        flat = outgoing.reshape(-1, outgoing.shape[-1]).index_select(0, source.view(-1))
        return flat.view(*source.shape, flat.shape[1]) * present[..., None]

    return LayerMap(torch.searchsorted(before, after), exchange)
