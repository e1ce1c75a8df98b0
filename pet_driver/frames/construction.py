"""Weighted ECSE frames of every environment at once (arXiv 2305.19302).

ECSE is the Equivariant Coordinate System Ensemble. A frame is a right-handed orthonormal triad
built from two neighbors of a centre; it turns with the structure, so whatever is computed from
displacements expressed in it is invariant. The weights are smooth functions of the geometry that
vanish before a frame becomes ill-defined or a neighbor leaves; the weighted average over frames is
then exact and smooth.

Frames belong to one centre, as the cost must grow with the number of atoms: weights, pruning and
the fallback are all per centre. Where all neighbors lie close to one line, *axial frames* replace
pairs of neighbors, see `axial_frames`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..runtime.table_sizes import MeasuredSizes, TableSizes
from .average import recomputed
from .axial import Samples, axial_frames
from .constants import FrameConstants
from .ensembles import Ensembles
from .frame_set import FrameSet
from .neighbor_pairs import NEGLIGIBLE_WEIGHT, NeighborPairs
from .pruning import contrasted, prune, smooth_maximum
from .switches import switch_off


def environment_frames(
    vectors: Tensor,
    valid: Tensor,
    cutoff: float,
    constants: FrameConstants,
    covariant: bool = False,
    chunk: int | None = None,
    sizes: TableSizes | None = None,
) -> FrameSet:
    """Frames and normalized weights of all environments.

    The outer radius is ``cutoff - margin``, so that the inner cutoff, at most one margin larger,
    never exceeds the distance within which neighbors are given.

    :param vectors: (n_centres, n_neighbors, 3), displacements from each centre, angstrom; any value
        where not ``valid``
    :param valid: (n_centres, n_neighbors), False for padding
    :param cutoff: radius within which all neighbors are present, angstrom
    :param covariant: the frames serve vectors or tensors, see `axial_frames`
    :param chunk: number of environments processed at a time, recomputed in the backward pass, which
        bounds memory; None: all at once
    :param sizes: of the tables over neighbors and frames, where all is done at once; None: they are
        measured
    """
    n_centres = len(vectors)
    if chunk is None or chunk >= n_centres:
        return FrameSet(*_samples(vectors, valid, cutoff, constants, covariant, sizes), n_centres)
    starts = range(0, n_centres, chunk)
    pieces: list[Samples] = [
        recomputed(_samples, v, m, cutoff, constants, covariant)
        for v, m in zip(torch.split(vectors, chunk), torch.split(valid, chunk), strict=True)
    ]
    centres = torch.cat([c + start for (c, _, _), start in zip(pieces, starts, strict=True)])
    frames, weights = (torch.cat([piece[k] for piece in pieces]) for k in (1, 2))
    return FrameSet(centres, frames, weights, n_centres)


def _samples(
    vectors: Tensor,
    valid: Tensor,
    cutoff: float,
    constants: FrameConstants,
    covariant: bool,
    sizes: TableSizes | None = None,
) -> Samples:
    """Centre, frame and normalized weight of all samples, sorted by centre."""
    sizes = sizes or MeasuredSizes()
    n_centres = len(vectors)
    pairs = NeighborPairs.of(vectors, valid, cutoff, constants, sizes)
    ensembles = Ensembles(n_centres)
    axial, weights = _pair_weights(pairs, ensembles, constants)
    centre, frames, shares = pairs.kept(ensembles.shares(weights, axial), sizes)
    # With fixed sizes there is room for none.
    degenerate, _ = sizes.chosen("environments with axial frames", axial > NEGLIGIBLE_WEIGHT)
    if degenerate.numel():
        env, turned, of_axial = axial_frames(pairs.near(degenerate), constants, covariant)
        axial = axial / (ensembles.total(weights) + axial)
        centre = torch.cat([centre, degenerate[env]])
        frames = torch.cat([frames, turned])
        shares = torch.cat([shares, of_axial * axial[degenerate[env]]])
        centre, order = torch.sort(centre, stable=True)
        frames, shares = frames[order], shares[order]
    return centre, frames, shares


def pooled_frames(
    vectors: Tensor,
    valid: Tensor,
    cutoff: float,
    constants: FrameConstants,
    structure: Tensor,
    n_structures: int,
    covariant: bool = False,
) -> tuple[FrameSet, FrameSet]:
    """Frames of all environments of a structure in one ensemble, as in the original code.

    Where a structure has no pair of neighbors that is far from collinear, the original takes the
    energy of an auxiliary model; here the axial frames of each environment replace it.

    :param vectors: as in `environment_frames`, and so are the other parameters not listed here
    :param structure: (n_centres,), index of the structure of each centre
    :return: frames of the structures (``centre`` is the structure), and axial frames of single
        environments; the weights of the former and of the latter of any one environment sum to 1
    """
    pairs = NeighborPairs.of(vectors, valid, cutoff, constants)
    axial, weights = _pair_weights(pairs, Ensembles(n_structures, structure), constants)
    centre, frames, weights = pairs.kept(weights, MeasuredSizes())
    owner = structure[centre]
    total = axial + weights.new_zeros(n_structures).index_add(0, owner, weights)
    pooled = FrameSet(owner, frames, weights / total[owner], n_structures)
    degenerate = (axial[structure] > NEGLIGIBLE_WEIGHT).nonzero().squeeze(1)
    env, turned, shares = axial_frames(pairs.near(degenerate), constants, covariant)
    env = degenerate[env]
    shares = shares * (axial / total)[structure[env]]
    env, order = torch.sort(env, stable=True)
    return pooled, FrameSet(env, turned[order], shares[order], len(vectors))


def _pair_weights(
    pairs: NeighborPairs, ensembles: Ensembles, constants: FrameConstants
) -> tuple[Tensor, Tensor]:
    """Weight of the axial frames of each ensemble, and pruned weights of the pairs.

    The paper's weights decide how much the axial frames count. The weights are normalized later,
    together; with contrast they already sum to 1, so that the share of the axial frames does not
    depend on how much the contrast takes from all pairs.

    :return: (n_ensembles,) and (n_centres, n_first, n_second)
    """
    largest = smooth_maximum(ensembles, pairs.weights)
    if constants.contrast is None:
        weights, axial = prune(ensembles, pairs.weights, largest, constants)
        return axial, weights
    axial = switch_off(largest, constants.axial_threshold, constants.axial_width)
    log_contrast = pairs.log_contrast(*constants.contrast)
    shares = contrasted(ensembles, pairs.weights, log_contrast, constants)
    return axial, shares * ensembles.each(1.0 - axial)
