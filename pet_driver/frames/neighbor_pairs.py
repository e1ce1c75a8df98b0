"""Pairs of neighbors: the inner cutoff, the weights of the pairs and the frames that they span."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..runtime.table_sizes import MeasuredSizes, TableSizes
from .constants import FrameConstants
from .rotations import frame_from_axes
from .switches import switch_off, switch_on

_LAMBERT_W_OF_1_OVER_E = 0.2784645427610738  # T(beta) = W0(1/e) / beta


@dataclass(frozen=True)
class NeighborGeometry:
    """Distances and directions of the neighbors of each centre, and the inner cutoff.

    lengths, valid: (n_centres, n_neighbors), angstrom, False for padding; directions: (n_centres,
    n_neighbors, 3), unit vectors; inner: (n_centres,), angstrom.
    """

    lengths: Tensor
    directions: Tensor
    valid: Tensor
    inner: Tensor

    def select(self, centres: Tensor) -> NeighborGeometry:
        """Geometry of some of the centres.

        :param centres: (n_kept,), indices
        """
        return NeighborGeometry(
            self.lengths[centres],
            self.directions[centres],
            self.valid[centres],
            self.inner[centres],
        )


@dataclass(frozen=True)
class NeighborPairs:
    """Ordered pairs of neighbors of every centre, before pruning.

    weights: (n_centres, n_first, n_second), the paper's, not normalized, of the pair of the n-th
    and the m-th nearest neighbor; 0 where there is no such pair; neighbors: the geometry that they
    are made from, nearest first.
    """

    neighbors: NeighborGeometry
    weights: Tensor

    @classmethod
    def of(
        cls,
        vectors: Tensor,
        valid: Tensor,
        cutoff: float,
        constants: FrameConstants,
        sizes: TableSizes | None = None,
    ) -> NeighborPairs:
        """All pairs inside the inner cutoff of each centre.

        :param sizes: of the tables over neighbors; the other parameters as in `environment_frames`
        """
        sizes = sizes or MeasuredSizes()
        if not vectors.shape[1]:
            vectors, valid = vectors.new_zeros(len(vectors), 1, 3), valid.new_zeros(len(valid), 1)
        # Padding gets a fixed direction at twice the cutoff: finite, and its weight is zero.
        padding = 2.0 * cutoff * torch.eye(3, dtype=vectors.dtype, device=vectors.device)[0]
        vectors = torch.where(valid[..., None], vectors, padding)
        lengths = torch.linalg.vector_norm(vectors, dim=-1)
        # Nearest first, so that tables over pairs can be cut to the neighbors that count in them.
        lengths, order = torch.sort(lengths, dim=1, stable=True)
        vectors = vectors.gather(1, order[..., None].expand_as(vectors))
        valid = valid.gather(1, order)
        directions = vectors / lengths[..., None]
        outer = cutoff - constants.margin
        near = _most_within(sizes, "neighbors within the outer radius", lengths, outer)
        inner = inner_cutoff(
            lengths[:, :near], _sin2(directions[:, :near]), valid[:, :near], outer, constants
        )
        near = _most_within(sizes, "neighbors within the inner cutoff", lengths, inner[:, None])
        neighbors = NeighborGeometry(
            lengths[:, :near], directions[:, :near], valid[:, :near], inner
        )
        axis, first = axis_cutoff(lengths, valid, outer, constants), near
        if axis is not None:
            first = _most_within(sizes, "first axes of a centre", lengths, axis[:, None])
            first = min(first, near)
        return pairs_within(neighbors, first, constants, axis)

    def frames(self, some: Tensor) -> Tensor:
        """Frames of some of the pairs, (n_kept, 3, 3).

        The first axis points along the first neighbor, the second along the normal of the plane of
        both.

        :param some: (n_kept,), indices into the flattened weights
        """
        first, second = self._ends(some)
        directions = self.neighbors.directions.flatten(0, 1)
        e1 = directions.index_select(0, first)
        normal = torch.linalg.cross(e1, directions.index_select(0, second))
        e2 = normal / torch.linalg.vector_norm(normal, dim=-1, keepdim=True)
        return frame_from_axes(e1, e2)

    def centre(self, some: Tensor) -> Tensor:
        """Centre of some of the pairs, (n_kept,)."""
        _, n_first, n_second = self.weights.shape
        return some // (n_first * n_second)

    def log_contrast(self, first_length: float, second_length: float) -> Tensor:
        """Logarithm of the contrast of each pair, ``-r_j / l1 - r_k / l2``.

        :param first_length: l1, angstrom
        :param second_length: l2, angstrom
        :return: (n_centres, n_first, n_second)
        """
        lengths, n_first = self.neighbors.lengths, self.weights.shape[1]
        first = lengths[:, :n_first, None] / first_length
        return -(first + lengths[:, None, :] / second_length)

    def _ends(self, some: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of the two neighbors of some pairs in the flattened table of neighbors."""
        _, n_first, n_second = self.weights.shape
        start = self.centre(some) * n_second
        pair = some % (n_first * n_second)
        return start + pair // n_second, start + pair % n_second


def _most_within(sizes: TableSizes, name: str, lengths: Tensor, end: Tensor | float) -> int:
    """Largest number of neighbors of a centre that are nearer than its end; at least 1.

    :param lengths: (n_centres, n_neighbors), angstrom, ascending
    :param end: (n_centres, 1) or one for all, angstrom
    """
    return min(max(sizes.of(name, (lengths < end).sum(1)), 1), lengths.shape[1])


def _sin2(directions: Tensor) -> Tensor:
    """Squared sine of the angle between neighbors, (n_centres, n_neighbors, n_neighbors)."""
    return 1.0 - (directions @ directions.transpose(1, 2)) ** 2


def inner_cutoff(
    lengths: Tensor, sin2: Tensor, valid: Tensor, outer: float, constants: FrameConstants
) -> Tensor:
    """Radius that just encloses the closest non-collinear pair of neighbors: the paper's R_in.

    SmoothMin over the outer radius and, for each pair, SmoothMax(r, r') + T(beta), the pairs
    weighted by their switches.

    :param lengths: (n_centres, n_neighbors), angstrom
    :param sin2: (n_centres, n_neighbors, n_neighbors), squared sine of the angle between neighbors
    :param valid: (n_centres, n_neighbors), False for padding
    :param outer: the outer radius R_out, angstrom
    :return: (n_centres,), angstrom
    """
    width = lengths.shape[1]
    a, b = torch.triu_indices(width, width, offset=1, device=lengths.device)
    radial = switch_off(lengths, outer, constants.margin) * valid
    # index_select: its backward is an index_add, several times faster than indexing's.
    r_a, r_b = lengths.index_select(1, a), lengths.index_select(1, b)
    share = torch.sigmoid(constants.beta * (r_a - r_b))
    enclosing = r_b + (r_a - r_b) * share + _LAMBERT_W_OF_1_OVER_E / constants.beta
    sin2 = sin2.flatten(1).index_select(1, a * width + b)
    angular = switch_on(sin2, constants.sin2_threshold, constants.sin2_width)
    present = radial.index_select(1, a) * radial.index_select(1, b) * angular
    # Relative to the outer radius, so that the exponents stay small whatever the radius.
    boltzmann = present * torch.exp(constants.beta * (outer - enclosing))
    excess = (boltzmann * (enclosing - outer)).sum(1) / (1.0 + boltzmann.sum(1))
    return outer + excess + constants.margin


def axis_cutoff(
    lengths: Tensor, valid: Tensor, outer: float, constants: FrameConstants
) -> Tensor | None:
    """Radius within which a neighbor may be the first axis of a frame; None where all may.

    Smooth minimum of the distances, plus ``axis_margin``, so that the nearest neighbor always
    counts in full. Not in the paper, where all neighbors may.

    :param lengths: (n_centres, n_neighbors), angstrom
    :param valid: (n_centres, n_neighbors), False for padding
    :param outer: the outer radius R_out, angstrom
    :return: (n_centres,), angstrom
    """
    if constants.axis_margin is None:
        return None
    present = switch_off(lengths, outer, constants.margin) * valid
    boltzmann = present * torch.exp(constants.beta * (outer - lengths))
    excess = (boltzmann * (lengths - outer)).sum(1) / (1.0 + boltzmann.sum(1))
    return outer + excess + constants.axis_margin


def pairs_within(
    neighbors: NeighborGeometry,
    n_first: int,
    constants: FrameConstants,
    axis: Tensor | None = None,
) -> NeighborPairs:
    """All ordered pairs of neighbors inside the inner cutoff, with the paper's weights.

    :param neighbors: nearest first
    :param n_first: number of nearest neighbors that may be the first of a pair
    :param axis: (n_centres,), see `axis_cutoff`
    """
    lengths, inner = neighbors.lengths, neighbors.inner
    directions = neighbors.directions
    sin2 = 1.0 - (directions[:, :n_first] @ directions.transpose(1, 2)) ** 2
    inside = neighbors.valid & (lengths < inner[:, None])
    start = constants.sin2_threshold - constants.sin2_width
    mask = inside[:, :n_first, None] & inside[:, None, :] & (sin2 > start)
    mask.diagonal(dim1=1, dim2=2).fill_(False)
    radial = switch_off(lengths, inner[:, None], constants.margin)
    radial_first = radial[:, :n_first]
    if axis is not None and constants.axis_margin is not None:
        mask &= (lengths[:, :n_first] < axis[:, None])[..., None]
        of_axis = switch_off(lengths[:, :n_first], axis[:, None], constants.axis_margin)
        radial_first = radial_first * of_axis
    linear = (sin2 - start) / constants.sin2_width
    weights = radial_first[..., None] * radial[:, None, :]
    weights = weights * switch_on(sin2, start, constants.sin2_width) * linear
    return NeighborPairs(neighbors, torch.where(mask, weights, 0.0))
