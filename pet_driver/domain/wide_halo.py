"""One rank's share of a structure without exchange of messages: ghosts reach as many cutoffs deep
as there are message layers, and their environments are evaluated by every rank that needs them.

Simple, and in need of no message between layers; dear, as every rank repeats its neighbors' work.
It is the oracle for `Domain` in tests, and what the scope "atom" runs on, whose messages belong to
the frame of the atom that hears them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..errors import PetDriverError
from ..exchange import symmetrized
from ..model import Hop
from ..structure import Environments, check_distances
from .ghost_owners import GhostOwners
from .rank_atoms import RankAtoms, pairs_within

if TYPE_CHECKING:
    from mpi4py import MPI

_ROUNDING = 1e-6  # angstrom, around a radius at which neighbors are counted


class WideHaloDomain(RankAtoms):
    """The local atoms of one rank, and ghosts ``depth`` cutoffs deep.

    :param comm, cutoff, skin: as in `RankAtoms`; the skin is shared among the layers
    :param depth: number of message layers
    """

    def __init__(self, comm: MPI.Comm, cutoff: float, depth: int, skin: float = 0.5) -> None:
        super().__init__(comm, cutoff, skin / depth)
        self.depth = depth

    @property
    def n_centres(self) -> int:
        return len(self._centres)

    def environments(self, device: torch.device) -> tuple[Environments, Tensor, Tensor]:
        kept = self._kept
        i, j = self._centre[kept], self._neighbor[kept]
        check_distances(self._lengths, self._ids[i], self._ids[j])
        place = np.full(len(self._ids) + 1, -1)
        place[self._centres] = np.arange(len(self._centres))
        centre = place[i]
        environments = Environments.from_edges(
            centre, self._species[self._centres], self._species[j], device
        )
        # Atoms at the two ends of every edge, for the forces; centres come before others nowhere.
        self._ends = tuple(torch.as_tensor(x, device=device) for x in (i, j))
        edge = np.full(len(self._centre) + 1, -1)
        edge[kept] = np.arange(len(kept))
        self._reverse = torch.as_tensor(edge[self._listed_reverse[kept]], device=device)
        vectors = torch.as_tensor(self._vectors, device=device)
        return environments, vectors, torch.as_tensor(centre, device=device)

    def announce(self, message_layers: int) -> None:  # noqa: ARG002 (nothing between layers)
        self.transport.announce([(self._owners.send_counts, self._owners.receive_counts)])

    def messages(self, environments: Environments) -> list[Hop]:
        depths = torch.as_tensor(self._depths[self._centres], device=environments.slots.device)
        slots = torch.zeros_like(environments.valid, dtype=torch.long).view(-1)
        slots[environments.slots] = environments.slots[self._reverse]
        slots = slots.view_as(environments.valid)
        hops = []
        before = torch.arange(environments.n_centres, device=slots.device)
        for layers_left in range(self.depth - 1, 0, -1):
            after = torch.nonzero(depths < layers_left).view(-1)
            hops.append(_hop(before, after, slots, environments.valid))
            before = after
        return hops

    def local_reverse(self) -> Tensor:
        # Atoms in the outermost shell have no edges here; nobody listens to them.
        return self._reverse.clamp(min=0)

    def gather(self, gradient: Tensor, vectors: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        i, j = self._ends
        halves = symmetrized(-0.5 * vectors.detach()[:, :, None] * gradient[:, None, :]).flatten(1)
        atoms = gradient.new_zeros(len(self._ids), 12)
        atoms = atoms.index_add(0, i, torch.cat([gradient, halves], dim=1))
        atoms = atoms.index_add(0, j, torch.cat([-gradient, halves], dim=1))
        local = self._owners.bring_home(atoms, self.transport)
        return local[:, :3], local[:, 3:].reshape(-1, 3, 3)

    def self_test(self, device: torch.device) -> str:  # noqa: ARG002 (asked before any evaluation)
        ghosts = self._owners.ghosts
        with self.agreement():
            theirs = self._owners.ask(self._species[:, None])[:, 0]
            if (self._species[ghosts] != theirs).any():
                raise PetDriverError(
                    "a ghost has another element than the atom that it is an image of; the "
                    "communication of ghosts is broken, run on one rank"
                )
        count = self.total(np.array([len(ghosts)]))[0]
        return f"{count:.0f} ghosts, elements and neighbors as of their owners"

    def _rebuild(self, positions: np.ndarray) -> None:
        reach = self.cutoff + self.skin
        i, j = pairs_within(positions, reach)
        self._centre, self._neighbor = i, j
        self._listed_reverse = np.empty(len(i), dtype=np.int64)
        self._listed_reverse[np.lexsort((i, j))] = np.arange(len(i))
        lengths = np.linalg.norm(positions[j] - positions[i], axis=1)
        depths = self._hops_from_local(i, j, self.depth)
        ghosts = np.nonzero(depths[self.n_local :] <= self.depth)[0] + self.n_local
        self._owners = GhostOwners.find(self.comm, self._ids, self.n_local, ghosts)
        if self._whole(lengths, reach):
            self._usable_skin = self.skin
        elif self._whole(lengths, self.cutoff):
            self._usable_skin = 0.0
        else:
            raise PetDriverError(
                "the ghosts do not reach far enough: some of those whose environments are "
                f"evaluated here lack neighbors within the cutoff of {self.cutoff:g} angstrom; add "
                f"`comm_modify cutoff {self.depth * reach + 0.5:.2f}` (angstrom)"
            )

    def _whole(self, lengths: np.ndarray, radius: float) -> bool:
        """Whether every ghost whose environment may be evaluated has as many neighbors within the
        radius as the atom itself, on all ranks. Collective.
        """
        near = lengths < radius
        depths = self._hops_from_local(self._centre[near], self._neighbor[near], self.depth - 1)
        counts = [
            np.bincount(self._centre[lengths < r], minlength=len(self._ids))
            for r in (radius - _ROUNDING, radius, radius + _ROUNDING)
        ]
        fewest, most = self._owners.ask(np.stack([counts[0], counts[2]], axis=1)).T
        ghosts = self._owners.ghosts
        found = counts[1][ghosts]
        wrong = (depths[ghosts] < self.depth) & ((found < fewest) | (found > most))
        return not self._any(bool(wrong.any()))

    def _take(self, positions: np.ndarray) -> None:
        vectors = positions[self._neighbor] - positions[self._centre]
        lengths = np.linalg.norm(vectors, axis=1)
        near = lengths < self.cutoff
        self._depths = self._hops_from_local(
            self._centre[near], self._neighbor[near], self.depth - 1
        )
        self._centres = np.nonzero(self._depths < self.depth)[0]
        self._kept = np.nonzero(near & (self._depths[self._centre] < self.depth))[0]
        self._vectors, self._lengths = vectors[self._kept], lengths[self._kept]

    def _hops_from_local(self, i: np.ndarray, j: np.ndarray, most: int) -> np.ndarray:
        """(n_atoms,), number of edges between each atom and the nearest local one; ``most + 1``
        where there are more."""
        depths = np.full(len(self._ids), most + 1)
        depths[: self.n_local] = 0
        for depth in range(most):
            reached = j[depths[i] == depth]
            depths[reached] = np.minimum(depths[reached], depth + 1)
        return depths


def _hop(before: Tensor, after: Tensor, reversed_slots: Tensor, valid: Tensor) -> Hop:
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

    return Hop(torch.searchsorted(before, after), exchange)
