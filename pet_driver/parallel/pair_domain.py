"""Domain whose edges an engine lists itself, anew in every step."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..graph import Graph, check_distances
from .base import check_unique
from .edge_pairing import ROUNDING, EdgePairing
from .exchange_domain import compare_reversed_edges, exchange_graph
from .rank_group import RankGroup
from .resident_domain import ResidentDomain, ResidentRankPairs

if TYPE_CHECKING:
    from mpi4py import MPI


class PairDomain(RankGroup):
    """One rank's local atoms, whose edges an engine lists; they are paired anew in every step.

    :param comm: communicator of the ranks that share the structure
    :param cutoff: distance within which the engine lists pairs, angstrom

    pairing: edges and their reversed edges, as last listed; n_local: number of atoms that this rank
    owns.
    """

    pairing: EdgePairing
    n_local: int

    def __init__(self, comm: MPI.Comm, cutoff: float) -> None:
        super().__init__(comm)
        self.cutoff = cutoff

    def follow(
        self,
        ids: NDArray[np.int64],
        species: NDArray[np.int64],
        n_local: int,
        edges: tuple[NDArray[np.int64], NDArray[np.int64]],
        vectors: Tensor,
    ) -> None:
        """Pair new edges. Collective.

        Left out are those at the cutoff whose reversed edge, by rounding, is not listed on the
        other rank.

        :param ids: (n_local + n_ghosts,), the same for all images of an atom
        :param species: (n_local + n_ghosts,), species index of each atom
        :param edges: (n_pairs,) each, centre and neighbor of the pairs within the cutoff, sorted
        :param vectors: (n_pairs, 3), from centre to neighbor, angstrom, float64, on the device of
            the network
        :raises PetDriverError: on every rank, if an id occurs twice, two atoms coincide, or the
            ghosts are not listed as far as the cutoff
        """
        with self.watch.measure("neighbor lists"):
            here = vectors.cpu().numpy()
            with self.agreement():
                check_unique(ids[:n_local])
                i, j = edges
                check_distances(np.linalg.norm(here, axis=1), ids[i], ids[j])
            self.pairing = EdgePairing.build(
                self.comm, ids, n_local, edges, here, self.cutoff - ROUNDING, 0.0
            )
        paired = self.pairing.paired
        self._vectors = vectors if len(paired) == len(vectors) else vectors[paired]
        self._ids, self._species, self.n_local = ids, species, n_local

    @property
    def local_ids(self) -> NDArray[np.int64]:
        """Ids of this rank's own atoms, (n_local,)."""
        return self._ids[: self.n_local]

    def graph(self) -> Graph:
        """Graph of the paired edges; its ``listed`` has their indices among those listed."""
        pairing = self.pairing
        active = np.arange(len(pairing.paired))
        atoms = (self._ids, self._species, self.n_local)
        graph = exchange_graph(self, pairing, active, self._vectors, atoms)
        return dataclasses.replace(graph, listed=pairing.paired)

    def resident(self, charge_and_spin: Tensor | None = None) -> ResidentRankPairs:
        """Empty pairs on the device for the local atoms of this rank.

        :param charge_and_spin: (1, 2), None: the model depends on neither
        """
        atoms, device = (self._species, self.n_local), self._vectors.device
        return ResidentRankPairs(self, *atoms, self.cutoff, device, charge_and_spin)

    def has_atoms_of(self, resident: ResidentDomain) -> bool:
        """Whether pairs on the device are those of the present local atoms. Collective."""
        return not self.largest(int(not resident.fits(self._species, self.n_local)))

    def update_resident(self, resident: ResidentDomain) -> bool:
        """Let pairs on the device follow those of this domain.

        :return: see `ResidentDomain.update`
        """
        if not isinstance(resident, ResidentRankPairs):
            raise TypeError(f"a {type(resident).__name__} has no room for the vectors of pairs")
        with self.agreement():
            grown = resident.update(self.pairing, self._ids, self._species)
            resident.place_vectors(self._vectors)
        return grown

    def self_test(self, graph: Graph) -> None:
        """Exchange species and displacement of each edge, which both of its ranks know. Collective.

        :raises PetDriverError: on every rank, if they differ
        """
        with self.evaluation():
            compare_reversed_edges(graph, self.cutoff)
