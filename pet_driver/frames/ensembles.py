"""Sums and shares of the pairs of neighbors that are averaged together."""

from __future__ import annotations

import math
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

    def dot(self, values: Tensor, others: Tensor) -> Tensor:
        """Sums of the products of two values of pairs, (count,)."""
        of_centres = dot(values, others)
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

    def relative(self, weights: Tensor, largest: Tensor, unit: float) -> Tensor:
        """Weights in units of a share of the largest of their ensemble; 0 where all of them are 0.

        :param weights: (n_centres, n_first, n_second), not negative
        :param largest: (count,), not negative
        :param unit: the share
        :return: as ``weights``
        """
        relative: Tensor = _Relative.apply(  # type: ignore[no-untyped-call]  # torch's own
            self, weights, largest, unit
        )
        return relative

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


class _Relative(torch.autograd.Function):
    """``y = w / (u m)`` of each pair, m of its ensemble; can be differentiated again.

    With the gradient g of y, that of w is ``g / (u m)`` and that of m ``-u sum g y / (u m)``.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        ensembles: Ensembles,
        weights: Tensor,
        largest: Tensor,
        unit: float,
    ) -> Tensor:
        divisor = (largest + NOTHING) * unit
        relative = weights / ensembles.each(divisor)
        ctx.save_for_backward(largest, divisor, relative)
        ctx.ensembles, ctx.unit = ensembles, unit
        return relative

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        largest, divisor, relative = ctx.saved_tensors
        ensembles: Ensembles = ctx.ensembles
        if torch.is_grad_enabled():  # as a function of the largest weight
            divisor = (largest + NOTHING) * ctx.unit
        of_weights = gradient / ensembles.each(divisor)
        return None, of_weights, ensembles.dot(of_weights, relative) * -ctx.unit, None


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
        common = ensembles.dot(gradient, shares)
        of_weights = (gradient - ensembles.each(common)) / ensembles.each(total)
        return None, of_weights, None if rest is None else -common / total


def dot(values: Tensor, others: Tensor) -> Tensor:
    """Sums of the products of two tables of each centre, (n_centres,).

    :param values: (n_centres, ...), and so is ``others``
    """
    count, size = len(values), math.prod(values.shape[1:])
    return (values.reshape(count, 1, size) @ others.reshape(count, size, 1)).view(count)
