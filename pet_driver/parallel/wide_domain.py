"""One rank's share of a structure without exchange of messages: ghosts reach as many cutoffs deep
as messages come from, and their environments are evaluated by every rank that needs them.

Simple, and in need of no message between layers; dear, as every rank repeats its neighbors' work.
It is the oracle for `ExchangeDomain` in tests, and what the scope "atom" runs on: its messages
belong to the frame of the atom that hears them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..errors import PetDriverError
from ..graph import PaddedNeighbors, check_distances
from ..graph.edge_exchange import EdgeExchange
from ..model import LayerMap
from .base import Domain, pairs_within
from .ghosts import GhostOwners
from .receptive_halo import ReceptiveHalo, hops_from_local

if TYPE_CHECKING:
    from mpi4py import MPI

_ROUNDING = 1e-6  # angstrom, around a radius at which neighbors are counted


class WideDomain(Domain):
    """The local atoms of one rank, and ghosts ``depth`` cutoffs deep.

    :param comm, cutoff, skin: as in `Domain`; the skin is shared among the layers
    :param depth: how many cutoffs away atoms lie on which an energy depends
    """

    def __init__(self, comm: MPI.Comm, cutoff: float, depth: int, skin: float = 0.5) -> None:
        super().__init__(comm, cutoff, skin / depth)
        self.depth = depth

    @property
    def n_centres(self) -> int:
        depths = self._hops(self._near_centre, self._near_neighbor, self.depth - 1)
        return int((depths < self.depth).sum())

    def environments(self, device: torch.device) -> tuple[PaddedNeighbors, Tensor, Tensor]:
        check_distances(self._lengths, self._ids[self._near_centre], self._ids[self._near_neighbor])
        self._narrowing = narrowing = ReceptiveHalo(
            self.n_local,
            self.depth,
            self._species,
            self._near_centre,
            self._near_neighbor,
            self._vectors,
            device,
        )
        return narrowing.environments, narrowing.vectors, narrowing.dense_centre

    def announce(self, swaps: int) -> None:  # noqa: ARG002 (none)
        self.transport.announce([(self._owners.send_counts, self._owners.receive_counts)])

    def messages(self, environments: PaddedNeighbors) -> list[LayerMap]:
        return self._narrowing.messages(environments)

    def local_reverse(self) -> Tensor:
        return self._narrowing.local_reverse()

    def at_neighbors(self, environments: PaddedNeighbors, values: Tensor) -> Tensor:
        return self._narrowing.at_neighbors(environments, values)

    def restricted(self, keep: Tensor) -> tuple[EdgeExchange, Tensor, Tensor | None]:
        return self._narrowing.restricted(keep)

    def gather(self, gradient: Tensor, vectors: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
        forces, virials = self._narrowing.gather(gradient, vectors, centre)
        atoms = torch.cat([forces, virials.flatten(1)], dim=1)
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
        lengths = np.linalg.norm(positions[j] - positions[i], axis=1)
        depths = self._hops(i, j, self.depth)
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
        depths = self._hops(self._centre[near], self._neighbor[near], self.depth - 1)
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
        self._near_centre, self._near_neighbor = self._centre[near], self._neighbor[near]
        self._vectors, self._lengths = vectors[near], lengths[near]

    def _hops(self, centre: np.ndarray, neighbor: np.ndarray, most: int) -> np.ndarray:
        return hops_from_local(len(self._ids), self.n_local, centre, neighbor, most)
