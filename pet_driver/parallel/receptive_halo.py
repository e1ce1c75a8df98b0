"""Message passing without exchange: environments of ghosts are evaluated too, in every layer those
that the next one still listens to."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

from ..graph import PaddedNeighbors
from ..graph.edge_exchange import EdgeExchange, symmetrized
from ..model import LayerMap


class ReceptiveHalo(EdgeExchange):
    """Edges of local atoms and of ghosts so deep that local atoms are right.

    :param n_local: number of local atoms, which come before the ghosts
    :param depth: how many cutoffs away atoms lie on which an energy depends
    :param species: (n_atoms,), ghosts included
    :param centre, neighbor, vectors: (n_edges,), (n_edges,) and (n_edges, 3), of all edges within
        the cutoff, those of ghosts included, sorted by centre

    used: (n_used,), which of the edges are evaluated; environments, vectors, dense_centre: what the
    potential evaluates; n_roots: number of local atoms.
    """

    def __init__(
        self,
        n_local: int,
        depth: int,
        species: np.ndarray,
        centre: np.ndarray,
        neighbor: np.ndarray,
        vectors: np.ndarray | Tensor,
        device: torch.device,
    ) -> None:
        self.depth = depth
        self.n_roots = n_local
        self.n_atoms = len(species)
        depths = hops_from_local(self.n_atoms, n_local, centre, neighbor, depth - 1)
        centres = np.nonzero(depths < depth)[0]
        self.used = np.nonzero(depths[centre] < depth)[0]
        i, j = centre[self.used], neighbor[self.used]
        place = np.full(self.n_atoms, -1)
        place[centres] = np.arange(len(centres))
        self.environments = PaddedNeighbors.from_edges(
            place[i], species[centres], species[j], device
        )
        self.vectors = torch.as_tensor(vectors, device=device)[self.used]
        self.dense_centre, self._depths, self._centre, self._neighbor, self._reverse = (
            torch.as_tensor(x, device=device)
            for x in (place[i], depths[centres], i, j, _reversed_edges(i, j, self.n_atoms))
        )

    def messages(self, environments: PaddedNeighbors) -> list[LayerMap]:
        slots = torch.zeros_like(environments.valid, dtype=torch.long).view(-1)
        slots[environments.slots] = environments.slots[self._reverse]
        slots = slots.view_as(environments.valid)
        hops = []
        before = torch.arange(environments.n_centres, device=slots.device)
        for layers_left in range(self.depth - 1, 0, -1):
            after = torch.nonzero(self._depths < layers_left).view(-1)
            hops.append(_hop(before, after, slots, environments.valid))
            before = after
        return hops

    def local_reverse(self) -> Tensor:
        return self._reverse

    def at_neighbors(self, environments: PaddedNeighbors, values: Tensor) -> Tensor:  # noqa: ARG002
        return values.index_select(0, self.dense_centre[self._reverse])

    def restricted(self, keep: Tensor) -> tuple[EdgeExchange, Tensor, Tensor | None]:
        centres = torch.nonzero(self._depths < self.depth - 1).view(-1)
        whole = self._depths[self.dense_centre] < self.depth - 1
        kept = torch.nonzero(whole & (keep | keep[self._reverse])).view(-1)
        part = copy.copy(self)
        part.depth = self.depth - 1
        place = torch.full((len(self._depths),), -1, device=kept.device)
        place[centres] = torch.arange(len(centres), device=kept.device)
        part.dense_centre, part._depths = place[self.dense_centre[kept]], self._depths[centres]
        part._centre, part._neighbor = self._centre[kept], self._neighbor[kept]
        order = torch.full((len(keep),), 0, device=kept.device)
        order[kept] = torch.arange(len(kept), device=kept.device)
        part._reverse = order[self._reverse[kept]]
        return part, kept, centres

    def gather(self, gradient: Tensor, vectors: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """Of all atoms, ghosts included."""
        halves = symmetrized(-0.5 * vectors.detach()[:, :, None] * gradient[:, None, :]).flatten(1)
        atoms = gradient.new_zeros(self.n_atoms, 12)
        atoms = atoms.index_add(0, self._centre, torch.cat([gradient, halves], dim=1))
        atoms = atoms.index_add(0, self._neighbor, torch.cat([-gradient, halves], dim=1))
        return atoms[:, :3], atoms[:, 3:].reshape(-1, 3, 3)


def hops_from_local(
    n_atoms: int, n_local: int, centre: np.ndarray, neighbor: np.ndarray, most: int
) -> np.ndarray:
    """(n_atoms,), number of edges between each atom and the nearest local one; ``most + 1`` where
    there are more.

    :param centre, neighbor: (n_edges,)
    """
    depths = np.full(n_atoms, most + 1)
    depths[:n_local] = 0
    for depth in range(most):
        reached = neighbor[depths[centre] == depth]
        depths[reached] = np.minimum(depths[reached], depth + 1)
    return depths


def _reversed_edges(i: np.ndarray, j: np.ndarray, n_atoms: int) -> np.ndarray:
    """(n_edges,), index of the edge from j to i; any index where there is none: these edges lead to
    atoms that nobody listens to.
    """
    if not len(i):
        return np.zeros(0, dtype=np.int64)
    keys = i * n_atoms + j
    order = np.argsort(keys)
    place = np.searchsorted(keys, j * n_atoms + i, sorter=order)
    return order[np.minimum(place, len(keys) - 1)]


def _hop(before: Tensor, after: Tensor, reversed_slots: Tensor, valid: Tensor) -> LayerMap:
    """
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
