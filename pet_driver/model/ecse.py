"""Equivariant Coordinate System Ensemble: the weighted frames of every environment at once (arXiv
2305.19302).

A frame is a right-handed orthonormal triad built from two neighbors of a centre; it turns with the
structure, so whatever is computed from displacements expressed in it is invariant. The weights are
smooth functions of the geometry that vanish before a frame becomes ill-defined or a neighbor
leaves; the weighted average over frames is then exact and smooth.

Frames belong to one centre, as the cost must grow with the number of atoms: weights, pruning and
the fallback are all per centre. Where no pair of neighbors spans a plane well, *axial frames* take
over, see `axial_frames`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .cutoffs import switch_off, switch_on
from .hyperparameters import FrameHyperparameters

_LAMBERT_W_OF_1_OVER_E = 0.2784645427610738  # T(beta) = W0(1/e) / beta
_NEGLIGIBLE_WEIGHT = 1e-12  # of one row in the average of its centre
_NEGLIGIBLE_SWITCH = 1e-20  # of a neighbor's switch: below it the neighbor cannot define an axis
_ON_AXIS = 1e-10  # sin^2 below which the direction across an axis is not taken from a neighbor


@dataclass
class FrameRows:
    """The (centre, frame) pairs to evaluate, sorted by centre.

    centre: (n_rows,) index of the environment; frames: (n_rows, 3, 3), the axes are the columns, so
    that local coordinates are ``x @ F``; weights: (n_rows,), summing to 1 for each centre.
    """

    centre: Tensor
    frames: Tensor
    weights: Tensor
    n_centres: int

    def counts(self) -> Tensor:
        """Number of frames of each centre, (n_centres,)."""
        return torch.bincount(self.centre, minlength=self.n_centres)

    def sample(self, generator: torch.Generator | None = None) -> FrameRows:
        """One row per centre, drawn with probability equal to its weight; its weight becomes 1.

        The average over draws is the full average. So is that of derivatives up to the change
        of the weights: its estimate would be the value times d(log weight), whose variance is
        unbounded where a frame is switched off, so it is left to training with all frames.
        """
        weights = self.weights.detach()
        cumulative = torch.cumsum(weights, dim=0)
        counts = self.counts()
        first = torch.cumsum(counts, dim=0) - counts
        start = cumulative[first] - weights[first]
        draw = torch.rand(
            self.n_centres, generator=generator, dtype=weights.dtype, device=weights.device
        )
        rows = torch.searchsorted(cumulative, start + draw)
        rows = torch.minimum(torch.maximum(rows, first), first + counts - 1)
        ones = torch.ones_like(weights[rows])
        return FrameRows(self.centre[rows], self.frames[rows], ones, self.n_centres)


def environment_frames(
    vectors: Tensor, valid: Tensor, cutoff: float, hyper: FrameHyperparameters
) -> FrameRows:
    """Frames and normalized weights of all environments.

    The outer radius is ``cutoff - margin``, so that the inner cutoff, at most one margin larger,
    never reaches beyond the neighbors that are given.

    :param vectors: (n_centres, n_neighbors, 3), displacements from each centre, angstrom; arbitrary
        where not ``valid``
    :param valid: (n_centres, n_neighbors), False for padding
    :param cutoff: radius within which all neighbors are present, angstrom
    """
    # Padding gets a fixed direction at the outer radius: finite everywhere, and its weight is zero.
    vectors = torch.where(valid[..., None], vectors, vectors.new_tensor([2.0 * cutoff, 0.0, 0.0]))
    lengths = torch.linalg.vector_norm(vectors, dim=-1)
    directions = vectors / lengths[..., None]
    sin2 = 1.0 - (directions @ directions.transpose(1, 2)) ** 2
    inner = inner_cutoff(lengths, sin2, valid, cutoff - hyper.margin, hyper)
    centre, frames, weights = pair_frames(lengths, directions, sin2, valid, inner, hyper)
    largest = _smooth_largest(centre, weights, vectors.shape[0])
    axial = switch_off(largest, hyper.axial_threshold, hyper.axial_width)
    weights = prune(centre, weights, largest, hyper)
    keep = (weights > _NEGLIGIBLE_WEIGHT).nonzero().squeeze(1)
    centre, frames, weights = centre[keep], frames[keep], weights[keep]
    degenerate = (axial > _NEGLIGIBLE_WEIGHT).nonzero().squeeze(1)
    if degenerate.numel():
        near, turned, shares = axial_frames(
            lengths[degenerate], directions[degenerate], valid[degenerate], inner[degenerate], hyper
        )
        centre = torch.cat([centre, degenerate[near]])
        frames = torch.cat([frames, turned])
        weights = torch.cat([weights, shares * axial[degenerate[near]]])
        centre, order = torch.sort(centre, stable=True)
        frames, weights = frames[order], weights[order]
    total = weights.new_zeros(vectors.shape[0]).index_add(0, centre, weights)
    return FrameRows(centre, frames, weights / total[centre], vectors.shape[0])


def inner_cutoff(
    lengths: Tensor, sin2: Tensor, valid: Tensor, outer: float, hyper: FrameHyperparameters
) -> Tensor:
    """Radius that just encloses the closest pair of neighbors that spans a plane well: the paper's
    R_in.

    SmoothMin over the outer radius and, for each pair, SmoothMax(r, r') + T, the pairs weighted by
    their switches.

    :param lengths: (n_centres, n_neighbors), angstrom
    :param sin2: (n_centres, n_neighbors, n_neighbors), squared sine of the angle between neighbors
    :param outer: the outer radius R_out, angstrom
    :return: (n_centres,), angstrom
    """
    a, b = torch.triu_indices(lengths.shape[1], lengths.shape[1], offset=1, device=lengths.device)
    radial = switch_off(lengths, outer, hyper.margin) * valid
    r_a, r_b = lengths[:, a], lengths[:, b]
    share = torch.sigmoid(hyper.beta * (r_a - r_b))
    enclosing = r_b + (r_a - r_b) * share + _LAMBERT_W_OF_1_OVER_E / hyper.beta
    present = (
        radial[:, a] * radial[:, b] * switch_on(sin2[:, a, b], hyper.spread, hyper.spread_width)
    )
    # Relative to the outer radius, so that the exponents stay small whatever the radius.
    boltzmann = present * torch.exp(hyper.beta * (outer - enclosing))
    excess = (boltzmann * (enclosing - outer)).sum(1) / (1.0 + boltzmann.sum(1))
    return outer + excess + hyper.margin


def pair_frames(
    lengths: Tensor,
    directions: Tensor,
    sin2: Tensor,
    valid: Tensor,
    inner: Tensor,
    hyper: FrameHyperparameters,
) -> tuple[Tensor, Tensor, Tensor]:
    """Frames of all ordered pairs of neighbors inside the inner cutoff.

    First axis along the first neighbor, second along the normal of the plane of both.

    :return: centre (n_pairs,), frames (n_pairs, 3, 3), weights (n_pairs,) of the paper, before
        pruning
    """
    inside = valid & (lengths < inner[:, None])
    start = hyper.spread - hyper.spread_width
    mask = inside[:, :, None] & inside[:, None, :] & (sin2 > start)
    mask.diagonal(dim1=1, dim2=2).fill_(False)
    centre, first, second = mask.nonzero(as_tuple=True)
    radial = switch_off(lengths, inner[:, None], hyper.margin)
    spread = sin2[centre, first, second]
    linear = (spread - start) / hyper.spread_width
    weights = radial[centre, first] * radial[centre, second]
    weights = weights * switch_on(spread, start, hyper.spread_width) * linear
    e1 = directions[centre, first]
    normal = torch.linalg.cross(e1, directions[centre, second])
    e2 = normal / torch.linalg.vector_norm(normal, dim=-1, keepdim=True)
    return centre, _frame(e1, e2), weights


def prune(centre: Tensor, weights: Tensor, largest: Tensor, hyper: FrameHyperparameters) -> Tensor:
    """Smoothly remove frames much lighter than the heaviest of their centre.

    Pruning sets in as the smooth maximum ``largest`` (n_centres,) of the unpruned weights exceeds a
    threshold.
    """
    off = switch_off(largest, hyper.pruning_threshold, hyper.pruning_threshold_width)[centre]
    for _ in range(hyper.pruning_rounds):
        top = _smooth_largest(centre, weights, largest.shape[0])[centre]
        top = torch.where(top > 0.0, top, 1.0)
        kept = switch_on(weights, hyper.pruning_fraction * top, hyper.pruning_width * top)
        weights = weights * ((1.0 - off) * kept + off)
    return weights


def axial_frames(
    lengths: Tensor, directions: Tensor, valid: Tensor, inner: Tensor, hyper: FrameHyperparameters
) -> tuple[Tensor, Tensor, Tensor]:
    """Frames for environments in which all neighbors lie close to a line.

    Each neighbor j inside the inner cutoff is an axis. Across it, the second direction points to
    each other neighbor k in turn, and ``axial_copies`` copies are turned about the axis by equal
    angles. Averaging over the copies removes the dependence on the second direction up to that
    order in the distance of k from the axis; the weights over k, sin^2 of its angle, are normalized
    for each axis, which keeps the result independent of the direction from which the line is
    approached. A neighbor alone needs one copy, an atom without neighbors any frame.

    :return: environment (n_rows,), frames (n_rows, 3, 3), weights (n_rows,) summing to 1 for each
        environment
    """
    width = lengths.shape[1]
    radial = switch_off(lengths, inner[:, None], hyper.margin) * valid
    radial = torch.where(radial > _NEGLIGIBLE_SWITCH, radial, 0.0)
    axis_total = radial.sum(1)
    empty = (axis_total == 0.0).nonzero().squeeze(1)
    axis_share = radial / torch.where(axis_total > 0.0, axis_total, 1.0)[:, None]

    e1 = directions[:, :, None, :]
    across = directions[:, None, :, :]
    across = across - (across * e1).sum(-1, keepdim=True) * e1
    sin2 = (across**2).sum(-1)
    other = ~torch.eye(width, dtype=torch.bool, device=lengths.device)
    reach = sin2 * radial[:, None, :] * other
    usable = (
        (sin2.detach() > _ON_AXIS)
        & (reach.detach() > _NEGLIGIBLE_SWITCH)
        & (radial > 0.0)[:, :, None]
    )
    reach = torch.where(usable, reach, 0.0)
    across_total = reach.sum(2)
    across_share = reach / torch.where(across_total > 0.0, across_total, 1.0)[:, :, None]

    env, axis, side = usable.nonzero(as_tuple=True)
    e2 = across[env, axis, side]
    e2 = e2 / torch.linalg.vector_norm(e2, dim=-1, keepdim=True)
    frames, weights = _turned(
        _frame(directions[env, axis], e2),
        axis_share[env, axis] * across_share[env, axis, side],
        hyper.axial_copies,
    )
    environments = env.repeat_interleave(hyper.axial_copies)

    bare_env, bare_axis = ((radial > 0.0) & ~usable.any(2)).nonzero(as_tuple=True)
    alone = (radial > 0.0).sum(1)[bare_env] == 1
    bare = _frame_about(directions[bare_env, bare_axis])
    share = axis_share[bare_env, bare_axis]
    lined, lined_share = _turned(bare[~alone], share[~alone], hyper.axial_copies)

    identity = torch.eye(3, dtype=frames.dtype, device=frames.device).expand(empty.numel(), 3, 3)
    return (
        torch.cat(
            [
                environments,
                bare_env[alone],
                bare_env[~alone].repeat_interleave(hyper.axial_copies),
                empty,
            ]
        ),
        torch.cat([frames, bare[alone], lined, identity]),
        torch.cat([weights, share[alone], lined_share, frames.new_ones(empty.numel())]),
    )


def _frame(e1: Tensor, e2: Tensor) -> Tensor:
    """Right-handed frames from two orthonormal axes, each (n, 3); the axes are the columns of the
    result.
    """
    return torch.stack([e1, e2, torch.linalg.cross(e1, e2)], dim=-1)


def _frame_about(e1: Tensor) -> Tensor:
    """Frames with a given first axis; the second is any across it that changes smoothly with it."""
    helper = torch.nn.functional.one_hot(e1.detach().abs().argmin(-1), 3).to(e1.dtype)
    normal = torch.linalg.cross(e1, helper)
    return _frame(e1, normal / torch.linalg.vector_norm(normal, dim=-1, keepdim=True))


def _turned(frames: Tensor, weights: Tensor, copies: int) -> tuple[Tensor, Tensor]:
    """Copies of each frame turned about its first axis by multiples of 2 pi / copies, sharing its
    weight.
    """
    angles = torch.arange(copies, dtype=frames.dtype, device=frames.device) * (
        2.0 * math.pi / copies
    )
    cos, sin = angles.cos(), angles.sin()
    one, zero = torch.ones_like(cos), torch.zeros_like(cos)
    turns = torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], dim=-1).view(
        copies, 3, 3
    )
    turned = (frames[:, None] @ turns).reshape(-1, 3, 3)
    return turned, (weights / copies).repeat_interleave(copies)


def _smooth_largest(centre: Tensor, weights: Tensor, n_centres: int) -> Tensor:
    """Smooth maximum of the weights of each centre, weighted by themselves; 0 if there is none."""
    soft = weights * torch.exp(weights)
    total = weights.new_zeros(n_centres).index_add(0, centre, soft)
    weighted = weights.new_zeros(n_centres).index_add(0, centre, soft * weights)
    return weighted / torch.where(total > 0.0, total, 1.0)
