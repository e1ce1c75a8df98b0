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

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .axial import axial_frames, frame_from_axes
from .constants import FrameConstants
from .frame_set import FrameSet
from .switches import switch_off, switch_on

_LAMBERT_W_OF_1_OVER_E = 0.2784645427610738  # T(beta) = W0(1/e) / beta
_NEGLIGIBLE_WEIGHT = 1e-16  # of one row in the average of its centre: below rounding


def environment_frames(
    vectors: Tensor,
    valid: Tensor,
    cutoff: float,
    hyper: FrameConstants,
    covariant: bool = False,
    chunk: int | None = None,
) -> FrameSet:
    """Frames and normalized weights of all environments.

    The outer radius is ``cutoff - margin``, so that the inner cutoff, at most one margin larger,
    never reaches beyond the neighbors that are given.

    :param vectors: (n_centres, n_neighbors, 3), displacements from each centre, angstrom; arbitrary
        where not ``valid``
    :param valid: (n_centres, n_neighbors), False for padding
    :param cutoff: radius within which all neighbors are present, angstrom
    :param covariant: the frames serve vectors or tensors, see `axial_frames`
    :param chunk: so many environments at a time, recomputed in the backward pass, which bounds
        memory; None: all at once
    """

    def part(some: Tensor, there: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pairs = pairs_of(some, there, cutoff, hyper)
        largest = _smooth_largest(pairs.centre, pairs.weights, len(some))
        axial = switch_off(largest, hyper.axial_threshold, hyper.axial_width)
        centre, frames, weights = _kept(pairs, prune(pairs.centre, pairs.weights, largest, hyper))
        degenerate = (axial > _NEGLIGIBLE_WEIGHT).nonzero().squeeze(1)
        if degenerate.numel():
            near, turned, shares = pairs.axial(degenerate, hyper, covariant)
            centre = torch.cat([centre, degenerate[near]])
            frames = torch.cat([frames, turned])
            weights = torch.cat([weights, shares * axial[degenerate[near]]])
            centre, order = torch.sort(centre, stable=True)
            frames, weights = frames[order], weights[order]
        total = weights.new_zeros(len(some)).index_add(0, centre, weights)
        return centre, frames, weights / total[centre]

    n_centres = len(vectors)
    if chunk is None or chunk >= n_centres:
        return FrameSet(*part(vectors, valid), n_centres)
    starts = range(0, n_centres, chunk)
    pieces = [
        checkpoint(part, v, m, use_reentrant=False)
        for v, m in zip(vectors.split(chunk), valid.split(chunk), strict=True)
    ]
    centres = torch.cat([c + start for (c, _, _), start in zip(pieces, starts, strict=True)])
    frames, weights = (torch.cat([piece[k] for piece in pieces]) for k in (1, 2))
    return FrameSet(centres, frames, weights, n_centres)


def pooled_frames(
    vectors: Tensor,
    valid: Tensor,
    cutoff: float,
    hyper: FrameConstants,
    structure: Tensor,
    n_structures: int,
    covariant: bool = False,
) -> tuple[FrameSet, FrameSet]:
    """Frames of all environments of a structure in one ensemble, as in the original code.

    Where a structure has no pair of neighbors that spans a plane well, the original takes the
    energy of an auxiliary model; here its part is played by the axial frames of each environment.

    :param structure: (n_centres,), index of the structure of each centre
    :return: frames of the structures (``centre`` is the structure), and axial frames of single
        environments; the weights of the former and of the latter of any one environment sum to 1
    """
    pairs = pairs_of(vectors, valid, cutoff, hyper)
    owner = structure[pairs.centre]
    largest = _smooth_largest(owner, pairs.weights, n_structures)
    axial = switch_off(largest, hyper.axial_threshold, hyper.axial_width)
    centre, frames, weights = _kept(pairs, prune(owner, pairs.weights, largest, hyper))
    owner = structure[centre]
    total = axial + weights.new_zeros(n_structures).index_add(0, owner, weights)
    pooled = FrameSet(owner, frames, weights / total[owner], n_structures)
    degenerate = (axial[structure] > _NEGLIGIBLE_WEIGHT).nonzero().squeeze(1)
    near, turned, shares = pairs.axial(degenerate, hyper, covariant)
    near = degenerate[near]
    shares = shares * (axial / total)[structure[near]]
    near, order = torch.sort(near, stable=True)
    return pooled, FrameSet(near, turned[order], shares[order], len(vectors))


@dataclass
class Pairs:
    """Frames of the pairs of neighbors of every centre, before pruning, and what they are made
    from.

    lengths, valid: (n_centres, n_neighbors); directions: (n_centres, n_neighbors, 3); inner:
    (n_centres,), angstrom; centre, frames, weights: (n_pairs, ...).
    """

    lengths: Tensor
    directions: Tensor
    valid: Tensor
    inner: Tensor
    centre: Tensor
    frames: Tensor
    weights: Tensor

    def axial(
        self, some: Tensor, hyper: FrameConstants, covariant: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`axial_frames` of some of the centres."""
        return axial_frames(
            self.lengths[some],
            self.directions[some],
            self.valid[some],
            self.inner[some],
            hyper,
            covariant,
        )


def pairs_of(vectors: Tensor, valid: Tensor, cutoff: float, hyper: FrameConstants) -> Pairs:
    """Frames of all pairs inside the inner cutoff of each centre; parameters as in
    `environment_frames`.
    """
    # Padding gets a fixed direction at the outer radius: finite everywhere, and its weight is zero.
    vectors = torch.where(valid[..., None], vectors, vectors.new_tensor([2.0 * cutoff, 0.0, 0.0]))
    lengths = torch.linalg.vector_norm(vectors, dim=-1)
    directions = vectors / lengths[..., None]
    sin2 = 1.0 - (directions @ directions.transpose(1, 2)) ** 2
    inner = inner_cutoff(lengths, sin2, valid, cutoff - hyper.margin, hyper)
    axis = axis_cutoff(lengths, valid, cutoff - hyper.margin, hyper)
    made = pair_frames(lengths, directions, sin2, valid, inner, hyper, axis)
    return Pairs(lengths, directions, valid, inner, *made)


def _kept(pairs: Pairs, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Centre, frame and pruned weight of the pairs that count."""
    keep = (weights > _NEGLIGIBLE_WEIGHT).nonzero().squeeze(1)
    return pairs.centre[keep], pairs.frames[keep], weights[keep]


def inner_cutoff(
    lengths: Tensor, sin2: Tensor, valid: Tensor, outer: float, hyper: FrameConstants
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


def axis_cutoff(
    lengths: Tensor, valid: Tensor, outer: float, hyper: FrameConstants
) -> Tensor | None:
    """Radius within which a neighbor may be the first axis of a frame; None where all may, as in
    the paper.

    Smooth minimum of the distances, plus ``axis_margin``: so the nearest neighbor always counts in
    full.

    :return: (n_centres,), angstrom
    """
    if hyper.axis_margin is None:
        return None
    present = switch_off(lengths, outer, hyper.margin) * valid
    boltzmann = present * torch.exp(hyper.beta * (outer - lengths))
    excess = (boltzmann * (lengths - outer)).sum(1) / (1.0 + boltzmann.sum(1))
    return outer + excess + hyper.axis_margin


def pair_frames(
    lengths: Tensor,
    directions: Tensor,
    sin2: Tensor,
    valid: Tensor,
    inner: Tensor,
    hyper: FrameConstants,
    axis: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Frames of all ordered pairs of neighbors inside the inner cutoff.

    First axis along the first neighbor, second along the normal of the plane of both.

    :param axis: (n_centres,), see `axis_cutoff`
    :return: centre (n_pairs,), frames (n_pairs, 3, 3), weights (n_pairs,) of the paper, before
        pruning
    """
    inside = valid & (lengths < inner[:, None])
    start = hyper.spread - hyper.spread_width
    mask = inside[:, :, None] & inside[:, None, :] & (sin2 > start)
    mask.diagonal(dim1=1, dim2=2).fill_(False)
    if axis is not None:
        mask &= (lengths < axis[:, None])[:, :, None]
    centre, first, second = mask.nonzero(as_tuple=True)
    radial = switch_off(lengths, inner[:, None], hyper.margin)
    spread = sin2[centre, first, second]
    linear = (spread - start) / hyper.spread_width
    weights = radial[centre, first] * radial[centre, second]
    weights = weights * switch_on(spread, start, hyper.spread_width) * linear
    if axis is not None:
        weights = weights * switch_off(lengths, axis[:, None], hyper.axis_margin)[centre, first]
    e1 = directions[centre, first]
    normal = torch.linalg.cross(e1, directions[centre, second])
    e2 = normal / torch.linalg.vector_norm(normal, dim=-1, keepdim=True)
    return centre, frame_from_axes(e1, e2), weights


def prune(centre: Tensor, weights: Tensor, largest: Tensor, hyper: FrameConstants) -> Tensor:
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


def _smooth_largest(centre: Tensor, weights: Tensor, n_centres: int) -> Tensor:
    """Smooth maximum of the weights of each centre, weighted by themselves; 0 if there is none."""
    soft = weights * torch.exp(weights)
    total = weights.new_zeros(n_centres).index_add(0, centre, soft)
    weighted = weights.new_zeros(n_centres).index_add(0, centre, soft * weights)
    return weighted / torch.where(total > 0.0, total, 1.0)
