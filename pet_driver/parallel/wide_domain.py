"""Domain with ghosts as deep as energies depend on, whose ranks exchange no messages.

Neighboring ranks evaluate the same ghosts. The scope "atom" needs it, as its messages belong to the
frame of one atom; tests compare `ExchangeDomain` with it.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import PetDriverError
from ..graph import Graph, check_distances
from .base import Domain, pairs_within
from .ghosts import GhostOwners
from .receptive_halo import edges_from_local, receptive_graph

if TYPE_CHECKING:
    from mpi4py import MPI

_ROUNDING = 1e-6  # angstrom, around a radius within which neighbors are counted


class WideDomain(Domain):
    """One rank's local atoms as centres, and ghosts up to ``depth`` cutoffs away.

    :param comm, cutoff, skin, device: as in `Domain`; the skin is shared among the layers
    :param depth: number of cutoffs over which an energy depends on other atoms
    """

    def __init__(
        self,
        comm: MPI.Comm,
        cutoff: float,
        depth: int,
        skin: float = 0.5,
        device: torch.device | None = None,
    ) -> None:
        super().__init__(comm, cutoff, skin / depth, device)
        self.depth = depth
        none = np.zeros(0, dtype=np.int64)
        self._edges = none, none
        self._owners: GhostOwners | None = None

    def self_test(self, graph: Graph) -> str:  # noqa: ARG002 (owners are asked)
        """Compare the elements of ghosts with those of their owners.

        :return: number of ghosts compared, in words
        :raises PetDriverError: on every rank, if they differ
        """
        owners = self._ghost_owners()
        theirs = owners.ask(self._species[:, None].astype(np.float64))[:, 0]
        with self.agreement():
            if (self._species[owners.ghosts] != theirs).any():
                raise PetDriverError(
                    "a ghost has another element than the atom that it is an image of; the "
                    "communication of ghosts is broken, run on one rank"
                )
        count = self.total(np.array([len(owners.ghosts)], dtype=np.float64))[0]
        return f"{count:.0f} ghosts, elements as of their owners"

    def _rebuild(self, positions: NDArray[np.float64]) -> float:
        listed = self.cutoff + self.skin
        with self.agreement():
            self._edges = pairs_within(positions, listed)
        i, j = self._edges
        lengths = np.linalg.norm(positions[j] - positions[i], axis=1)
        distances = edges_from_local(len(self._ids), self.n_local, self._edges, self.depth)
        ghosts = np.nonzero(distances[self.n_local :] <= self.depth)[0] + self.n_local
        self._owners = GhostOwners.find(self.comm, self._ids, self.n_local, ghosts)
        if self._complete(lengths, listed):
            return self.skin
        if self._complete(lengths, self.cutoff):
            return 0.0
        raise PetDriverError(
            "the ghosts do not reach far enough: some of those that are evaluated lack neighbors "
            f"within the cutoff of {self.cutoff:g} angstrom; add "
            f"`comm_modify cutoff {self.depth * listed + 0.5:.2f}` (angstrom)"
        )

    def _complete(self, lengths: NDArray[np.float64], radius: float) -> bool:
        """Whether all ghosts that are evaluated have all their neighbors, on all ranks. Collective.

        That is, as many within the radius as their owners have.
        """
        i, j = self._edges
        near = lengths < radius
        distances = edges_from_local(
            len(self._ids), self.n_local, (i[near], j[near]), self.depth - 1
        )
        counts = [
            np.bincount(i[lengths < r], minlength=len(self._ids))
            for r in (radius - _ROUNDING, radius, radius + _ROUNDING)
        ]
        owners = self._ghost_owners()
        bounds = np.stack([counts[0], counts[2]], axis=1).astype(np.float64)
        fewest, most = owners.ask(bounds).T
        found = counts[1][owners.ghosts]
        evaluated = distances[owners.ghosts] < self.depth
        wrong = evaluated & ((found < fewest) | (found > most))
        return not self.largest(int(wrong.any()))

    def _graph(self, positions: NDArray[np.float64]) -> Graph:
        i, j = self._edges
        vectors = positions[j] - positions[i]
        lengths = np.linalg.norm(vectors, axis=1)
        near = lengths < self.cutoff
        i, j = i[near], j[near]
        check_distances(lengths[near], self._ids[i], self._ids[j])
        tensor = torch.as_tensor(vectors[near], device=self.device)
        graph = receptive_graph(
            self.n_local,
            self.depth,
            self._species,
            (i, j),
            tensor,
            self._ghost_owners(),
            self.transport,
        )
        return dataclasses.replace(graph, atom_names=self.local_ids, listed=None, collective=self)

    def _ghost_owners(self) -> GhostOwners:
        if self._owners is None:
            raise RuntimeError("the domain has no atoms yet; call update first")
        return self._owners
