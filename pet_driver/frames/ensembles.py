"""Sums, means and shares of the pairs of neighbors that are averaged together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

# Added to sums of weights that may all vanish. It changes nothing else, and nothing overflows where
# quotients by it are differentiated twice.
NOTHING = 1e-100


@dataclass(frozen=True)
class Ensembles:
    """Which pairs are averaged together: those of a centre, or those of a whole structure.

    Tables of pairs are (n_centres, n_first, n_second). count: number of ensembles; structure:
    (n_centres,), index of the structure of each centre, None: each centre is an ensemble.
    """

    count: int
    structure: Tensor | None = None

    def total(self, values: Tensor) -> Tensor:
        """Sums of the values of pairs, (count,)."""
        of_centres = values.sum((1, 2))
        if self.structure is None:
            return of_centres
        return values.new_zeros(self.count).index_add(0, self.structure, of_centres)

    def largest(self, values: Tensor) -> Tensor:
        """Largest of the values of pairs, (count,); not differentiable."""
        of_centres = values.detach().amax((1, 2))
        if self.structure is None:
            return of_centres
        none = values.new_full((self.count,), -torch.inf)
        return none.scatter_reduce(0, self.structure, of_centres, "amax")

    def each(self, values: Tensor) -> Tensor:
        """Values of ensembles, (count,), as they apply to pairs, (n_centres, 1, 1)."""
        of_centres = values if self.structure is None else values.index_select(0, self.structure)
        return of_centres[:, None, None]

    def mean(self, values: Tensor, weights: Tensor, of_zero: float = NOTHING) -> Tensor:
        """Weighted mean of the values of each ensemble, (count,): ``sum w v / (sum w + w_0)``.

        :param values: (n_centres, n_first, n_second)
        :param weights: as ``values``, not negative
        :param of_zero: w_0, weight of one more value, which is 0
        """
        mean: Tensor = _Mean.apply(  # type: ignore[no-untyped-call]  # torch's own
            self, values, weights, of_zero
        )
        return mean

    def shares(self, weights: Tensor, of_rest: Tensor | float = NOTHING) -> Tensor:
        """Share of each pair in the weight of its ensemble: ``w / (sum w + w_0)``.

        :param weights: (n_centres, n_first, n_second), not negative
        :param of_rest: w_0, (count,) or one for all, weight of what else is in each ensemble
        :return: as ``weights``
        """
        shares: Tensor = _Shares.apply(  # type: ignore[no-untyped-call]  # torch's own
            self, weights, of_rest
        )
        return shares


class _Mean(torch.autograd.Function):
    """``m = sum w v / S`` with ``S = sum w + w_0``; can be differentiated again.

    ``dm/dv = w / S`` and ``dm/dw = (v - m) / S``.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        ensembles: Ensembles,
        values: Tensor,
        weights: Tensor,
        of_zero: float,
    ) -> Tensor:
        total = ensembles.total(weights) + of_zero
        mean = ensembles.total(weights * values) / total
        ctx.save_for_backward(values, weights, mean, total)
        ctx.ensembles, ctx.of_zero = ensembles, of_zero
        return mean

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        values, weights, mean, total = ctx.saved_tensors
        ensembles: Ensembles = ctx.ensembles
        if torch.is_grad_enabled():  # as a function of the weights
            total = ensembles.total(weights) + ctx.of_zero
        slope = ensembles.each(gradient / total)
        return None, slope * weights, slope * (values - ensembles.each(mean)), None


class _Shares(torch.autograd.Function):
    """``y = w / S`` with ``S = sum w + w_0``; can be differentiated again.

    With the gradient g of y, that of w is ``(g - sum g y) / S`` and that of w_0 ``-sum g y / S``.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        ensembles: Ensembles,
        weights: Tensor,
        of_rest: Tensor | float,
    ) -> Tensor:
        total = ensembles.total(weights) + of_rest
        shares = weights / ensembles.each(total)
        rest = of_rest if isinstance(of_rest, Tensor) else None
        ctx.save_for_backward(weights, shares, total, rest)
        ctx.ensembles, ctx.of_rest = ensembles, None if rest is not None else of_rest
        return shares

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        weights, shares, total, rest = ctx.saved_tensors
        ensembles: Ensembles = ctx.ensembles
        if torch.is_grad_enabled():  # as a function of the weights
            total = ensembles.total(weights) + (ctx.of_rest if rest is None else rest)
        common = ensembles.total(gradient * shares)
        of_weights = (gradient - ensembles.each(common)) / ensembles.each(total)
        return None, of_weights, None if rest is None else -common / total
