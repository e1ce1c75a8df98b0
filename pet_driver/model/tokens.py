"""Geometry of the edges as tokens of the network need it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .cutoffs import CUTOFF_FUNCTIONS, radial_waves
from .hyperparameters import Hyperparameters
from .network_input import NetworkInput

MASKED_LOGIT = -1e9  # of a padded token: its attention weight underflows to exactly zero


@dataclass(frozen=True)
class EdgeGeometry:
    """Geometry of the edges of centres or of samples.

    vectors: (n, n_neighbors, 3), angstrom, those of centres in float64, those of samples in the
    frame of each and in the dtype of the network; lengths: (n, n_neighbors), angstrom; factors:
    (n, n_neighbors), cutoff factors, 0 for padding; log_factors: their logarithms, `MASKED_LOGIT`
    for padding.
    """

    vectors: Tensor
    lengths: Tensor
    factors: Tensor
    log_factors: Tensor

    def coordinates(self) -> Tensor:
        """Vectors and lengths, (n, n_neighbors, 4)."""
        return torch.cat([self.vectors, self.lengths[..., None]], dim=-1)

    def select(self, some: Tensor) -> EdgeGeometry:
        """The edges of some of the centres."""
        vectors, lengths = self.vectors.index_select(0, some), self.lengths.index_select(0, some)
        factors = self.factors.index_select(0, some)
        return EdgeGeometry(vectors, lengths, factors, self.log_factors.index_select(0, some))


def edge_geometry(
    inputs: NetworkInput, hyper: Hyperparameters, dtype: torch.dtype
) -> tuple[EdgeGeometry, Tensor | None]:
    """Geometry and sine waves of the distance, the cutoff factors computed in float64.

    :param dtype: of the network, in which all but the vectors are returned
    :return: the geometry, and (n_centres, n_neighbors, n_waves) or None without waves
    """
    valid = inputs.valid
    vectors = torch.where(valid[..., None], inputs.vectors, 1.0)
    lengths = torch.linalg.vector_norm(vectors, dim=-1)
    cutoffs = hyper.cutoff if inputs.cutoffs is None else inputs.cutoffs
    function = CUTOFF_FUNCTIONS[hyper.cutoff_function]
    factors, log_factors = function(lengths, cutoffs, hyper.cutoff_width)
    factors = torch.where(valid, factors, 0.0)
    log_factors = torch.where(valid, log_factors, MASKED_LOGIT)
    waves = None
    if hyper.radial_waves:
        waves = radial_waves(lengths, hyper.cutoff, hyper.radial_waves).to(dtype)
    geometry = EdgeGeometry(vectors, lengths.to(dtype), factors.to(dtype), log_factors.to(dtype))
    return geometry, waves
