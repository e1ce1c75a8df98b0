"""Pairs of neighbors: their weights and the frames that they span."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..runtime.table_sizes import MeasuredSizes, TableSizes
from .constants import FrameConstants
from .pair_weights import pair_weights
from .rotations import frame_from_axes

NEGLIGIBLE_WEIGHT = 1e-16  # of one sample in the average of its centre: below rounding


@dataclass(frozen=True)
class NeighborGeometry:
    """The near neighbors of each centre, nearest first, and the inner cutoff.

    lengths: (n_centres, n_near), angstrom, ascending; directions: (n_centres, n_near, 3), unit
    vectors; inner: (n_centres,), angstrom.

    Padding comes last and lies beyond every radius, where switches are exactly 0.
    """

    lengths: Tensor
    directions: Tensor
    inner: Tensor


@dataclass(frozen=True)
class NeighborPairs:
    """Ordered pairs of neighbors of every centre, before pruning.

    weights: (n_centres, n_first, n_second), the paper's, not normalized, of the pair of the n-th
    and the m-th nearest neighbor; 0 where there is no such pair, as for a neighbor with itself;
    neighbors: of these and perhaps more of them, nearest first.
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
        if not vectors.shape[1]:
            vectors, valid = vectors.new_zeros(len(vectors), 1, 3), valid.new_zeros(len(valid), 1)
        found = pair_weights(vectors, valid, cutoff, constants, sizes or MeasuredSizes())
        neighbors = NeighborGeometry(found.lengths, found.directions, found.inner)
        return cls(neighbors, found.weights)

    def near(self, centres: Tensor) -> NeighborGeometry:
        """The neighbors that may be in pairs, of some of the centres.

        :param centres: (n_kept,), indices
        """
        of, n_second = self.neighbors, self.weights.shape[2]
        lengths, directions = of.lengths[:, :n_second], of.directions[:, :n_second]
        return NeighborGeometry(lengths[centres], directions[centres], of.inner[centres])

    def kept(self, weights: Tensor, sizes: TableSizes) -> tuple[Tensor, Tensor, Tensor]:
        """Centre, frame and weight of the pairs whose weight is not negligible.

        The first axis points along the first neighbor, the second along the normal of the plane of
        both.

        :param weights: (n_centres, n_first, n_second)
        :return: (n_kept,), (n_kept, 3, 3) and (n_kept,)
        """
        keep, counts = sizes.chosen("frames", weights.detach().flatten() > NEGLIGIBLE_WEIGHT)
        frames, kept = _KeptFrames.apply(  # type: ignore[no-untyped-call]  # torch's own
            self.neighbors.directions, weights, keep, counts
        )
        _, n_first, n_second = weights.shape
        return keep // (n_first * n_second), frames, kept

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


class _Kept(NamedTuple):
    """Of some pairs: cosine of the angle between their neighbors, its sine, frames and weights.

    (n_kept,) each, frames (n_kept, 3, 3).
    """

    cosine: Tensor
    sine: Tensor
    frames: Tensor
    weights: Tensor

    @classmethod
    def of(cls, directions: Tensor, weights: Tensor, keep: Tensor) -> _Kept:
        """Pairs picked out of all of them.

        :param directions: (n_centres, n, 3)
        :param weights: (n_centres, n_first, n_second)
        :param keep: (n_kept,), indices into the flattened weights
        """
        n_first, n_second = weights.shape[1:]
        first = directions[:, :n_first, None].expand(-1, -1, n_second, -1)
        second = directions[:, None, :n_second].expand(-1, n_first, -1, -1)
        table = torch.cat([first, second, weights[..., None]], dim=-1).flatten(0, 2)
        picked = table.index_select(0, keep)
        e1, towards = picked[:, :3], picked[:, 3:6]
        normal = torch.linalg.cross(e1, towards)
        sine = torch.linalg.vector_norm(normal, dim=-1)
        frames = frame_from_axes(e1, normal / sine[:, None])
        cosine = (e1[:, None, :] @ towards[:, :, None]).view(-1)
        return cls(cosine, sine, frames, picked[:, 6])


class _KeptFrames(torch.autograd.Function):
    """Frames and weights of some pairs, as functions of unit vectors and of all weights.

    ``dF = F W`` with an antisymmetric W: ``W_21 = e2.de1``, ``W_31 = e3.de1`` and, as e2 stays
    perpendicular to the second neighbor u, ``W_32 = (e2.du - cos W_21) / sin`` with their angle.
    So the gradient G of F counts by ``A - A^T`` with ``A = F^T G``.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        directions: Tensor,
        weights: Tensor,
        keep: Tensor,
        counts: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        found = _Kept.of(directions, weights, keep)
        ctx.save_for_backward(directions, weights, keep, counts, *found[:-1])
        return found.frames, found.weights if counts is None else found.weights * counts

    @staticmethod
    def backward(ctx: Any, of_frames: Tensor, of_kept: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        directions, weights, keep, counts, cosine, sine, frames = ctx.saved_tensors
        if torch.is_grad_enabled():  # as a function of directions, since differentiated again
            cosine, sine, frames, _ = _Kept.of(directions, weights, keep)
        turn = frames.transpose(1, 2) @ of_frames
        turn = turn - turn.transpose(1, 2)
        across = turn[:, 2, 1] / sine
        along = torch.addcmul(turn[:, 1, 0], cosine, across, value=-1.0)
        _, e2, e3 = frames.unbind(-1)
        of_first = torch.addcmul(e2 * along[:, None], e3, turn[:, 2, 0, None])
        if counts is not None:
            of_kept = of_kept * counts
        of_picked = torch.cat([of_first, e2 * across[:, None], of_kept[:, None]], dim=1)
        table = of_picked.new_zeros(weights.numel(), of_picked.shape[1])
        table = table.index_add(0, keep, of_picked).view(*weights.shape, of_picked.shape[1])
        n_first, n_second = weights.shape[1:]
        # Those of the second neighbors come with zeros for the neighbors after them.
        missing = directions.shape[1] - n_second
        of_directions = torch.nn.functional.pad(table[..., 3:6].sum(1), (0, 0, 0, missing))
        of_directions[:, :n_first].add_(table[..., :3].sum(2))
        return of_directions, table[..., 6], None, None
