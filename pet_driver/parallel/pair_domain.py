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

if TYPE_CHECKING:
    from mpi4py import MPI


class PairDomain(RankGroup):
    """One rank's local atoms, whose edges an engine lists; they are paired anew in every step.

    :param comm: communicator of the ranks that share the structure
    :param cutoff: distance within which the engine lists pairs, angstrom
    """

    def __init__(self, comm: MPI.Comm, cutoff: float) -> None:
        super().__init__(comm)
        self.cutoff = cutoff

    def update(
        self,
        ids: NDArray[np.int64],
        species: NDArray[np.int64],
        n_local: int,
        edges: tuple[NDArray[np.int64], NDArray[np.int64]],
        vectors: Tensor,
    ) -> Graph:
        """Make the graph of new edges. Collective.

        The graph has all listed edges except those at the cutoff whose reversed edge, by rounding,
        is not listed on the other rank; ``listed`` of the graph has the indices of those kept.

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
            pairing = EdgePairing.build(
                self.comm, ids, n_local, edges, here, self.cutoff - ROUNDING, 0.0
            )
            active = np.arange(len(pairing.paired))
            graph = exchange_graph(
                self, pairing, active, vectors[pairing.paired], (ids, species, n_local)
            )
            return dataclasses.replace(graph, listed=pairing.paired)

    def self_test(self, graph: Graph) -> None:
        """Exchange species and displacement of each edge, which both of its ranks know. Collective.

        :raises PetDriverError: on every rank, if they differ
        """
        with self.evaluation():
            compare_reversed_edges(graph)
