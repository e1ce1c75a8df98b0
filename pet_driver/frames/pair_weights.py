"""Weights of the pairs of neighbors as one function of the vectors, and its derivatives.

Pair j, k of neighbors at distances r_j <= R_in, with ``c = cos^2`` of their angle, has the paper's
weight ``w = f_c(r_j) f_c(r_k) q_c(1-c) (end-c) / width``. The derivatives are written out, since
autograd's would be three times as many operations. They are made of logarithmic ones: for a product
with a factor ``s``, ``g = w dE/dw`` is the derivative by ``log s``, and ``g (1-s)`` that by the
argument of the sigmoid that s is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..runtime.table_sizes import TableSizes
from .constants import FrameConstants
from .enclosure import Enclosure, NearnessMean
from .polar import along_vectors
from .switches import (
    along_argument,
    joined,
    left,
    log_slope_to_argument,
    step_and_product,
    tables_of,
)


class PairWeights(NamedTuple):
    """Near neighbors of each centre, nearest first, and the weights of their pairs.

    lengths: (n_centres, n), angstrom; directions: (n_centres, n, 3), unit vectors; inner:
    (n_centres,), inner cutoff, angstrom; weights: (n_centres, n_first, n_second), the paper's, not
    normalized, of ordered pairs of the first so many neighbors.
    """

    lengths: Tensor
    directions: Tensor
    inner: Tensor
    weights: Tensor


def pair_weights(
    vectors: Tensor, valid: Tensor, cutoff: float, constants: FrameConstants, sizes: TableSizes
) -> PairWeights:
    """Weights of all pairs inside the inner cutoff of each centre; can be differentiated again.

    :param vectors: (n_centres, n_neighbors, 3), angstrom, n_neighbors at least 1; any value where
        not ``valid``
    :param valid: (n_centres, n_neighbors), False for padding
    :param cutoff: radius within which all neighbors are present, angstrom
    :param sizes: of the tables over neighbors
    """
    asked = _Asked(cutoff, constants, sizes)
    return PairWeights(
        *_PairWeights.apply(vectors, valid, asked)  # type: ignore[no-untyped-call]  # torch's own
    )


@dataclass(frozen=True)
class _Asked:
    """What does not change with the vectors."""

    cutoff: float
    constants: FrameConstants
    sizes: TableSizes

    @property
    def outer(self) -> float:
        """The outer radius, angstrom."""
        return self.cutoff - self.constants.margin


class _Weighted(NamedTuple):
    """Weights of pairs, and what they are made of.

    steps and products: of the switches of second neighbors, pairs and first neighbors, joined;
    angle: (n_centres, n_first, n_second), argument of the switch of pairs; of_angle: the factor of
    each pair; of_lengths: the product of the switches of its neighbors; weights: the product.
    """

    steps: Tensor
    products: Tensor
    angle: Tensor
    of_angle: Tensor
    of_lengths: Tensor
    weights: Tensor

    @classmethod
    def of(
        cls, near: Enclosure, inner: Tensor, axis: Tensor | None, asked: _Asked, shape: list[int]
    ) -> _Weighted:
        """Pairs of the first neighbors, within ``axis``, and second ones, within ``inner``.

        :param shape: n_first and n_second
        """
        n_first, n_second = shape
        constants = asked.constants
        lengths = near.lengths[:, :n_second]
        # The window is the one next to that of the inner cutoff, of the same width.
        angle = near.angular[:, :n_first, :n_second] + 1.0
        arguments = [left(lengths, inner[:, None], constants.margin), angle]
        if axis is not None and constants.axis_margin is not None:
            arguments.append(left(lengths[:, :n_first], axis[:, None], constants.axis_margin))
        steps, products = step_and_product(joined(*arguments))
        second, of_angle, *of_axis = tables_of(steps, *arguments)
        first = second[:, :n_first]
        if of_axis:
            first = first * of_axis[0]
        of_angle = of_angle * angle
        of_lengths = first[:, :, None] @ second[:, None, :]
        return cls(steps, products, angle, of_angle, of_lengths, of_lengths * of_angle)

    def slopes(self, gradient: Tensor) -> list[Tensor]:
        """Gradients by the arguments of the switches.

        :param gradient: as ``weights``
        :return: (n_centres, n_second), (n_centres, n_first, n_second) and, if there is a switch of
            the first neighbors, (n_centres, n_first)
        """
        n_first = self.weights.shape[1]
        of_angle = gradient * self.of_lengths
        of_log = of_angle * self.of_angle
        first, second = of_log.sum(2), of_log.sum(1)
        second[:, :n_first].add_(first)
        tables = [second, of_log]
        if len(self.steps) > second.numel() + of_log.numel():
            tables.append(first)
        slopes = along_argument(log_slope_to_argument(joined(*tables), self.steps), self.products)
        second, angle, *others = tables_of(slopes, *tables)
        _, switch, *_ = tables_of(self.steps, *tables)
        return [second, torch.addcmul(angle, of_angle, switch), *others]


class _PairWeights(torch.autograd.Function):
    """The tables of `PairWeights`."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, valid: Tensor, asked: _Asked) -> tuple[Tensor, ...]:  # noqa: ANN401
        # Padding gets a fixed direction beyond the cutoff, where its weight is zero.
        shown = torch.where(valid[..., None], vectors, asked.cutoff)
        lengths, order = torch.sort(torch.linalg.vector_norm(shown, dim=-1), stable=True)
        sizes, outer, constants = asked.sizes, asked.outer, asked.constants

        def enclosure(count: int) -> Enclosure:
            nearest = _rows(shown, order[:, :count])
            return Enclosure.of(nearest, lengths[:, :count], outer, constants)

        count = sizes.within("neighbors within the outer radius", lengths, outer)
        near = enclosure(count)
        inner, axis = near.radii(outer, constants)
        n_second = sizes.within("neighbors within the inner cutoff", lengths, inner[:, None])
        if n_second > count:  # where it is larger than the outer radius, up to a margin
            near = enclosure(n_second)
            inner, axis = near.radii(outer, constants)
        n_first = n_second
        if axis is not None:
            n_first = sizes.within("first axes of a centre", lengths, axis[:, None])
        shape = [min(n_first, n_second), n_second]
        weighted = _Weighted.of(near, inner, axis, asked, shape)
        ctx.asked, ctx.shape = asked, shape
        order = order[:, : near.lengths.shape[1]]
        ctx.save_for_backward(vectors, valid, order, *_packed(near, weighted))
        ctx.set_materialize_grads(False)
        return near.lengths, near.directions, inner, weighted.weights

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        vectors, valid, order, *kept = ctx.saved_tensors
        asked: _Asked = ctx.asked
        constants = asked.constants
        if torch.is_grad_enabled():  # as a function of the vectors, since differentiated again
            rows = _rows(torch.where(valid[..., None], vectors, asked.cutoff), order)
            near = Enclosure.of(
                rows, torch.linalg.vector_norm(rows, dim=-1), asked.outer, constants
            )
            weighted = _Weighted.of(near, *near.radii(asked.outer, constants), asked, ctx.shape)
        else:
            near, weighted = _unpacked(kept)
        of_vectors = _slopes(near, weighted, constants, gradients)
        index = order[..., None].expand_as(of_vectors)
        return torch.zeros_like(vectors).scatter(1, index, of_vectors), None, None


def _packed(near: Enclosure, weighted: _Weighted) -> list[Tensor | None]:
    """All tables, one after another."""
    nearest = near.nearest or (None,) * len(NearnessMean._fields)
    return [*near[:-2], *near.pairs, *nearest, *weighted]


def _unpacked(tables: list[Tensor]) -> tuple[Enclosure, _Weighted]:
    """Inverse of `_packed`."""
    n_tables, n_mean = len(Enclosure._fields) - 2, len(NearnessMean._fields)
    own, pairs = tables[:n_tables], tables[n_tables : n_tables + n_mean]
    nearest, weighted = tables[n_tables + n_mean :][:n_mean], tables[n_tables + 2 * n_mean :]
    of_nearest = None if nearest[0] is None else NearnessMean(*nearest)
    near = Enclosure._make([*own, NearnessMean(*pairs), of_nearest])
    return near, _Weighted(*weighted)


def _rows(table: Tensor, order: Tensor) -> Tensor:
    """Rows (n_centres, count, 3) of a table (n_centres, n, 3), of indices (n_centres, count)."""
    return table.gather(1, order[..., None].expand(*order.shape, 3))


def _slopes(
    near: Enclosure,
    weighted: _Weighted,
    constants: FrameConstants,
    gradients: tuple[Tensor | None, ...],
) -> Tensor:
    """Gradient by the near vectors, (n_centres, n, 3), given those of `PairWeights`."""
    of_lengths, of_directions, of_inner, of_weights = gradients
    margin, beta, axis_margin = constants.margin, constants.beta, constants.axis_margin
    if of_weights is None:
        of_weights = torch.zeros_like(weighted.weights)
    n_first, n_second = of_weights.shape[1:]
    second, angle, *first = weighted.slopes(of_weights)
    of_mean = second.sum(1) * (-1.0 / (beta * margin))
    if of_inner is not None:
        of_mean = torch.sub(of_mean, of_inner, alpha=1.0 / beta)
    of_nearest = None
    if first and axis_margin is not None:
        of_nearest = first[0].sum(1) * (-1.0 / (beta * axis_margin))
    radial, angular, nearness = near.slopes(of_mean, of_nearest)

    along = torch.add(radial * (-1.0 / margin), nearness, alpha=-beta)
    along[:, :n_second].sub_(second, alpha=1.0 / margin)
    if first and axis_margin is not None:
        along[:, :n_first].sub_(first[0], alpha=1.0 / axis_margin)
    if of_lengths is not None:
        along = along + of_lengths

    of_cosine = angular * near.cosine
    of_cosine[:, :n_first, :n_second].addcmul_(angle, near.cosine[:, :n_first, :n_second])
    scale = -2.0 / constants.sin2_width
    across = near.directions if of_directions is None else of_directions
    keep = 0.0 if of_directions is None else 1.0
    across = torch.baddbmm(across, of_cosine, near.directions, beta=keep, alpha=scale)
    across = torch.baddbmm(across, of_cosine.transpose(1, 2), near.directions, alpha=scale)
    return along_vectors(along, across, near.lengths, near.directions)
