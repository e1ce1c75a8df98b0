"""Smooth minima of the distances of neighbors and of their pairs, which set the inner cutoff.

Derivatives are written out; see `pair_weights`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .constants import FrameConstants
from .ensembles import dot
from .switches import (
    along_argument,
    joined,
    left,
    log_slope_to_argument,
    step_and_product,
    tables_of,
)

_LAMBERT_W_OF_1_OVER_E = 0.2784645427610738  # T(beta) = W0(1/e) / beta


class NearnessMean(NamedTuple):
    """Mean of some x of each centre and of zeros, with weights ``v e^x`` and w_0.

    x and weights: (n_centres, ...); total: (n_centres,), sum of all weights; mean: (n_centres,).
    """

    x: Tensor
    weights: Tensor
    total: Tensor
    mean: Tensor

    @classmethod
    def of(cls, x: Tensor, present: Tensor, of_zero: float) -> NearnessMean:
        """Mean of x with the ``present`` v, between 0 and 1, and of a zero of weight w_0."""
        weights = present * torch.exp(x)
        total = weights.flatten(1).sum(1) + of_zero
        return cls(x, weights, total, dot(weights, x) / total)

    def slopes(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients by ``log v`` and by x, given that of the mean, (n_centres,)."""
        shape = (-1, *(1,) * (self.x.dim() - 1))
        share = self.weights * (gradient / self.total).view(shape)
        of_present = share * (self.x - self.mean.view(shape))
        return of_present, share + of_present


class Enclosure(NamedTuple):
    """Neighbors within the outer radius and the smooth minima of their distances.

    lengths, directions: as in `PairWeights`; cosine: (n_centres, n, n), of the angles between
    neighbors; angular: as ``cosine``, argument of the switch of pairs; steps and products: of the
    switches of lengths and pairs, joined; nearness: (n_centres, n), ``x = beta (R_out - r)``;
    nearer and correction: (n_centres, n, n), ``sigmoid(d)`` and ``silu(d)`` with ``d = x_j - x_k``;
    pairs: mean of ``beta (R_out - R)`` where ``R =
    SmoothMax(r, r') + T(beta)`` of each pair; nearest: mean of the nearness.
    """

    lengths: Tensor
    directions: Tensor
    cosine: Tensor
    angular: Tensor
    steps: Tensor
    products: Tensor
    nearness: Tensor
    nearer: Tensor
    correction: Tensor
    pairs: NearnessMean
    nearest: NearnessMean | None

    @classmethod
    def of(
        cls, vectors: Tensor, lengths: Tensor, outer: float, constants: FrameConstants
    ) -> Enclosure:
        """Of (n_centres, n, 3) vectors, nearest first, and their lengths.

        :param outer: the outer radius, angstrom
        """
        directions = vectors / lengths[..., None]
        cosine = directions @ directions.transpose(1, 2)
        angular = left(cosine * cosine, 1.0 - constants.sin2_threshold, constants.sin2_width)
        radial = left(lengths, outer, constants.margin)
        steps, products = step_and_product(joined(radial, angular))
        of_lengths, of_pairs = tables_of(steps, radial, angular)
        nearness = torch.rsub(lengths, constants.beta * outer, alpha=constants.beta)
        # SmoothMax(r, r') = r + silu(beta (r' - r)) / beta.
        apart = nearness[:, :, None] - nearness[:, None, :]
        nearer = torch.sigmoid(apart)
        correction = nearer * apart
        own = (nearness - _LAMBERT_W_OF_1_OVER_E)[:, :, None]
        present = (of_lengths[:, :, None] @ of_lengths[:, None, :]) * of_pairs
        # The table has every pair twice, and so the outer radius.
        pairs = NearnessMean.of(own - correction, present, 2.0)
        nearest = None
        if constants.axis_margin is not None:
            nearest = NearnessMean.of(nearness, of_lengths, 1.0)
        tables = (steps, products, nearness, nearer, correction)
        return cls(lengths, directions, cosine, angular, *tables, pairs, nearest)

    def radii(self, outer: float, constants: FrameConstants) -> tuple[Tensor, Tensor | None]:
        """Inner cutoff and radius of first axes, (n_centres,), angstrom.

        The first is the paper's R_in: it just encloses the closest non-collinear pair of neighbors,
        plus the margin, and is a smooth minimum over pairs and the outer radius. The second lies
        ``axis_margin`` beyond the smooth minimum of the distances; None where there is none.
        """
        inverse = 1.0 / constants.beta
        inner = torch.rsub(self.pairs.mean, outer + constants.margin, alpha=inverse)
        if self.nearest is None or constants.axis_margin is None:
            return inner, None
        end = outer + constants.axis_margin
        return inner, torch.rsub(self.nearest.mean, end, alpha=inverse)

    def slopes(self, of_pairs: Tensor, of_nearest: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients by the arguments of the switches of lengths and pairs, and by the nearness.

        :param of_pairs: (n_centres,), gradient by the mean of pairs
        :param of_nearest: (n_centres,), that by the mean of the nearness; None: no such mean
        """
        # All of it is symmetric in the two neighbors, so each is counted twice. The derivative of
        # x_j - silu(d) by x_j is (1 - sigmoid(d)) (1 - silu(d)).
        of_log, of_x = self.pairs.slopes(of_pairs)
        of_lengths = of_log.sum(2)
        of_x = torch.addcmul(of_x, of_x, self.nearer, value=-1.0)
        of_nearness = torch.addcmul(of_x, of_x, self.correction, value=-1.0).sum(2)
        if self.nearest is None or of_nearest is None:
            of_lengths, of_nearness = of_lengths * 2.0, of_nearness * 2.0
        else:
            of_length, of_near = self.nearest.slopes(of_nearest)
            of_lengths = torch.add(of_length, of_lengths, alpha=2.0)
            of_nearness = torch.add(of_near, of_nearness, alpha=2.0)
        logarithmic = joined(of_lengths, of_log)
        slopes = along_argument(log_slope_to_argument(logarithmic, self.steps), self.products)
        return *tables_of(slopes, of_lengths, of_log), of_nearness  # type: ignore[return-value]
