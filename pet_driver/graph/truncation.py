"""PaddedNeighbors as the network sees them: with the edges within the cutoffs of their atoms."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..frames import in_parts
from ..model import Hyperparameters, NetworkInput, adaptive_cutoffs
from .edge_exchange import EdgeExchange
from .padded import PaddedNeighbors

_PER_TRIAL = 1000  # numbers kept per neighbor where cutoffs adapt, the grid of trials included
_SHARE = 0.25  # of the memory, for the search for cutoffs


@dataclass
class TruncatedGraph:
    """PaddedNeighbors with the edges within the cutoffs of their atoms, and how they depend on all.

    vectors: (n_kept, 3), angstrom; cutoffs: (n_kept,), of each edge, angstrom, None: that of the
    model; plan: of these edges.
    """

    environments: PaddedNeighbors
    vectors: Tensor
    cutoffs: Tensor | None
    plan: EdgeExchange

    def neighborhoods(self) -> NetworkInput:
        """Padded, for the network."""
        return self.environments.neighborhoods(self.vectors, self.cutoffs)

    def frame_vectors(self, cutoff: float) -> Tensor:
        """(n_centres, n_neighbors, 3), padded vectors that frames are made of, in units in which
        every edge ends at the same cutoff.

        So no neighbor takes part in a frame that the network does not see, and the weights vanish
        smoothly where each edge does.
        """
        vectors = self.vectors
        if self.cutoffs is not None:
            vectors = vectors * (cutoff / self.cutoffs)[:, None]
        return self.environments.pad(vectors)

    @classmethod
    def of(
        cls,
        hyper: Hyperparameters,
        environments: PaddedNeighbors,
        vectors: Tensor,
        plan: EdgeExchange,
        memory: int | None = None,
    ) -> TruncatedGraph:
        """
        :param vectors: (n_edges, 3), of all edges within ``hyper.reach``, angstrom, float64
        :param memory: bytes that may be kept for a backward pass; None: as many as it takes
        """
        if hyper.adaptive_neighbors is None and hyper.reach == hyper.cutoff:
            return cls(environments, vectors, None, plan)
        lengths = torch.linalg.vector_norm(vectors, dim=1)
        if hyper.adaptive_neighbors is None:
            cutoffs, seen = None, lengths < hyper.cutoff
        else:
            cutoffs = _edge_cutoffs(hyper, environments, lengths, plan, memory)
            seen = lengths < cutoffs
        inner, kept, centres = plan.restricted(seen.detach())
        return cls(
            environments.restricted(kept, centres),
            vectors.index_select(0, kept),
            None if cutoffs is None else cutoffs.index_select(0, kept),
            inner,
        )


def _edge_cutoffs(
    hyper: Hyperparameters,
    environments: PaddedNeighbors,
    lengths: Tensor,
    plan: EdgeExchange,
    memory: int | None,
) -> Tensor:
    """(n_edges,), the mean of the cutoffs of both atoms: so an edge ends at both ends at once."""
    per_centre = 8 * _PER_TRIAL * environments.n_neighbors
    table = environments.pad(lengths[:, None]).squeeze(-1)

    def radii_of(some: Tensor, valid: Tensor) -> Tensor:
        # Neighbors beyond the largest cutoff may be listed, for the repulsion of nuclei.
        return adaptive_cutoffs(
            some,
            valid & (some < hyper.cutoff),
            hyper.adaptive_method,
            hyper.adaptive_neighbors,
            hyper.cutoff,
            hyper.adaptive_width,
        )

    chunk = None if memory is None else max(int(_SHARE * memory) // per_centre, 1)
    radii = in_parts(radii_of, chunk, table, environments.valid)
    here = radii.index_select(0, environments.centre)
    return 0.5 * (here + plan.at_neighbors(environments, radii))
