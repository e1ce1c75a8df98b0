"""A domain whose edges an engine has listed itself, and lists anew in every step."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from .edge_pairing import EdgePairing
from .exchange_domain import ExchangeDomain

_ROUNDING = 1e-6  # angstrom: so near to the cutoff, only one of two ranks may have listed an edge


class PairDomain(ExchangeDomain):
    """As `ExchangeDomain`, with `update_pairs` in place of `update`."""

    def update_pairs(
        self,
        ids: np.ndarray,
        species: np.ndarray,
        n_local: int,
        edges: tuple[np.ndarray, np.ndarray],
        vectors: Tensor,
    ) -> np.ndarray:
        """Take new edges. Collective.

        :param ids: (n_local + n_ghosts,), the same for all images of an atom
        :param species: (n_local + n_ghosts,), index of the species in the model
        :param edges: (n_pairs,) each, centre and neighbor of the pairs within the cutoff, sorted
        :param vectors: (n_pairs, 3), from centre to neighbor, angstrom, float64, where the network
            is: a copy on the host serves to pair edges
        :return: (n_edges,), which of them are evaluated: all but those that rounding put on either
            side of the cutoff
        :raises PetDriverError: on every rank, if the ghosts do not reach as far as the cutoff
        """
        with self.watch.measure("neighbor lists"):
            self.rebuilds += 1
            self.n_local = self.n_roots = n_local
            self._ids, self._species = ids, species
            here = vectors.cpu().numpy()
            self.plan = EdgePairing.build(
                self.comm, ids, n_local, edges, here, self.cutoff - _ROUNDING, 0.0
            )
            self._vectors = vectors[self.plan.paired]
            self._lengths = np.linalg.norm(here[self.plan.paired], axis=1)
            self._active = np.arange(len(self._vectors))
        return self.plan.paired
