"""Pairs of neighbors: the inner cutoff, the weights of the pairs and the frames that they span."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..runtime.table_sizes import MeasuredSizes, TableSizes
from .constants import FrameConstants
from .ensembles import Ensembles
from .polar import polar
from .rotations import frame_from_axes
from .switches import switch_off

_LAMBERT_W_OF_1_OVER_E = 0.2784645427610738  # T(beta) = W0(1/e) / beta


@dataclass(frozen=True)
class NeighborGeometry:
    """Distances and directions of the neighbors of each centre, and the inner cutoff.

    lengths: (n_centres, n_neighbors), angstrom, ascending; directions: (n_centres, n_neighbors, 3),
    unit vectors; cos2: (n_centres, n_neighbors, n_neighbors), squared cosine of the angle between
    neighbors; inner: (n_centres,), angstrom; axis: (n_centres,), angstrom, radius within which a
    neighbor may be the first axis of a frame, ``axis_margin`` beyond the smooth minimum of the
    distances, so that the nearest neighbor always counts in full; None where all may, as in the
    paper; near: number of the nearest neighbors among which are all that lie within the inner
    cutoff.

    Padding comes last and lies beyond every radius, where switches are exactly 0.
    """

    lengths: Tensor
    directions: Tensor
    cos2: Tensor
    inner: Tensor
    axis: Tensor | None
    near: int

    @classmethod
    def of(
        cls, lengths: Tensor, directions: Tensor, outer: float, constants: FrameConstants
    ) -> NeighborGeometry:
        """Geometry of sorted neighbors; all of them are near.

        :param outer: the outer radius, angstrom
        """
        cosine = directions @ directions.transpose(1, 2)
        cos2 = cosine * cosine
        radial = switch_off(lengths, outer, constants.margin)
        nearness = (lengths - outer) * -constants.beta
        inner = _enclosing(nearness, radial, cos2, constants) + (outer + constants.margin)
        axis = None
        if constants.axis_margin is not None:
            axis = _nearest_neighbor(nearness, radial, constants) + (outer + constants.axis_margin)
        return cls(lengths, directions, cos2, inner, axis, lengths.shape[1])

    def select(self, centres: Tensor) -> NeighborGeometry:
        """Geometry of the near neighbors of some of the centres.

        :param centres: (n_kept,), indices
        """
        lengths, directions = self.lengths[:, : self.near], self.directions[:, : self.near]
        return NeighborGeometry(
            lengths[centres],
            directions[centres],
            self.cos2[:, : self.near, : self.near][centres],
            self.inner[centres],
            None if self.axis is None else self.axis[centres],
            self.near,
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
        outer = cutoff - constants.margin
        vectors, lengths = _sorted(vectors, valid, cutoff)

        def nearest(count: int) -> NeighborGeometry:
            return NeighborGeometry.of(*polar(vectors[:, :count]), outer, constants)

        near = sizes.within("neighbors within the outer radius", lengths, outer)
        neighbors = nearest(near)
        inner = neighbors.inner[:, None]
        first = near = sizes.within("neighbors within the inner cutoff", lengths, inner)
        if near > neighbors.near:  # where it is larger than the outer radius, up to a margin
            neighbors = nearest(near)
        if neighbors.axis is not None:
            axis = neighbors.axis[:, None]
            first = min(sizes.within("first axes of a centre", lengths, axis), near)
        return pairs_within(replace(neighbors, near=near), first, constants)

    def frames(self, some: Tensor) -> tuple[Tensor, Tensor]:
        """Centres of some of the pairs, (n_kept,), and their frames, (n_kept, 3, 3).

        The first axis points along the first neighbor, the second along the normal of the plane of
        both.

        :param some: (n_kept,), indices into the flattened weights
        """
        _, n_first, n_second = self.weights.shape
        row = some // n_second  # centre * n_first + first neighbor
        centre = row // n_first
        second = torch.sub(some, row, alpha=n_second)
        # In the table of directions, which may have more columns than there are near neighbors.
        width = self.neighbors.directions.shape[1]
        first = torch.add(row, centre, alpha=width - n_first)
        ends = torch.cat([first, torch.add(second, centre, alpha=width)])
        directions = self.neighbors.directions.flatten(0, 1).index_select(0, ends)
        e1, towards = directions.chunk(2)
        _, e2 = polar(torch.linalg.cross(e1, towards))
        return centre, frame_from_axes(e1, e2)

    def log_contrast(self, first_length: float, second_length: float) -> Tensor:
        """Logarithm of the contrast of each pair, ``-r_j / l1 - r_k / l2``.

        :param first_length: l1, angstrom
        :param second_length: l2, angstrom
        :return: (n_centres, n_first, n_second)
        """
        _, n_first, n_second = self.weights.shape
        lengths = self.neighbors.lengths
        first = lengths[:, :n_first, None] * (-1.0 / first_length)
        return torch.sub(first, lengths[:, None, :n_second], alpha=1.0 / second_length)


def _sorted(vectors: Tensor, valid: Tensor, cutoff: float) -> tuple[Tensor, Tensor]:
    """Vectors of the neighbors, nearest first, and their lengths, which are cut off from gradients.

    :param vectors: as in `environment_frames`, and so are ``valid`` and ``cutoff``
    :return: (n_centres, n_neighbors, 3) and (n_centres, n_neighbors), n_neighbors at least 1
    """
    if not vectors.shape[1]:
        vectors, valid = vectors.new_zeros(len(vectors), 1, 3), valid.new_zeros(len(valid), 1)
    # Padding gets a fixed direction beyond the cutoff, where its weight is zero.
    vectors = vectors.masked_fill(~valid[..., None], cutoff)
    lengths, order = torch.sort(torch.linalg.vector_norm(vectors.detach(), dim=-1), stable=True)
    return vectors.gather(1, order[..., None].expand_as(vectors)), lengths


def _enclosing(nearness: Tensor, radial: Tensor, cos2: Tensor, constants: FrameConstants) -> Tensor:
    """Radius that just encloses the closest non-collinear pair of neighbors, less the outer radius.

    The radius, plus the margin, is the paper's R_in. It is SmoothMin over the outer radius R_out
    and, for each pair, SmoothMax(r, r') + T(beta), the pairs weighted by their switches.

    :param nearness: (n_centres, n_neighbors), ``beta (R_out - r)``
    :param radial: (n_centres, n_neighbors), switch at the outer radius
    :param cos2: (n_centres, n_neighbors, n_neighbors), squared cosine of the angle between
        neighbors
    :return: (n_centres,), angstrom
    """
    angular = switch_off(cos2, 1.0 - constants.sin2_threshold, constants.sin2_width)
    present = (radial[:, :, None] @ radial[:, None, :]) * angular
    # SmoothMax(r, r') = r + silu(beta (r' - r)) / beta.
    apart = nearness[:, :, None] - nearness[:, None, :]
    own = nearness - _LAMBERT_W_OF_1_OVER_E
    of_pairs = own[:, :, None] - torch.nn.functional.silu(apart)
    # The table has every pair twice, and so the outer radius.
    return _mean_nearness(of_pairs, present, 2.0) * (-1.0 / constants.beta)


def _nearest_neighbor(nearness: Tensor, radial: Tensor, constants: FrameConstants) -> Tensor:
    """Smooth minimum of the distances, less the outer radius, (n_centres,), angstrom.

    :param nearness: as in `_enclosing`, and so is ``radial``
    """
    return _mean_nearness(nearness[:, None, :], radial[:, None, :], 1.0) * (-1.0 / constants.beta)


def _mean_nearness(nearness: Tensor, present: Tensor, of_outer: float) -> Tensor:
    """Mean of ``x = beta (R_out - r)``, weighted by ``e^x``, over distances r and the outer radius.

    :param nearness: (n_centres, n, m), x
    :param present: as ``nearness``, between 0 and 1, by which each distance counts
    :param of_outer: by which the outer radius counts
    :return: (n_centres,)
    """
    return Ensembles(len(nearness)).mean(nearness, present * torch.exp(nearness), of_outer)


def pairs_within(
    neighbors: NeighborGeometry, n_first: int, constants: FrameConstants
) -> NeighborPairs:
    """All ordered pairs of neighbors inside the inner cutoff, with the paper's weights.

    A neighbor forms no pair with itself, as the weight of collinear ones is 0.

    :param neighbors: nearest first
    :param n_first: number of nearest neighbors that may be the first of a pair
    """
    lengths, axis = neighbors.lengths[:, : neighbors.near], neighbors.axis
    first = second = switch_off(lengths, neighbors.inner[:, None], constants.margin)
    if axis is not None and constants.axis_margin is not None:
        first = second * switch_off(lengths, axis[:, None], constants.axis_margin)
    width = constants.sin2_width
    end = 1.0 - (constants.sin2_threshold - width)
    cos2 = neighbors.cos2[:, :n_first, : neighbors.near]
    angular = switch_off(cos2, end, width) * torch.rsub(cos2, end / width, alpha=1.0 / width)
    weights = (first[:, :n_first, None] @ second[:, None, :]) * angular
    return NeighborPairs(neighbors, weights)
