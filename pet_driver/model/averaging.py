"""Evaluating the (centre, frame) rows part by part, and averaging the results over the frames of
each centre.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .ecse import FrameRows

# Rows at a time: what the cache of a CPU core likes; what the attention kernels of CUDA allow.
_PART = {"cpu": 96, "cuda": 65_535}

# (frames or None, edge tables of the rows, node table of the rows) -> results, one row each
Evaluate = Callable[[Tensor | None, Sequence[Tensor], Tensor], Sequence[Tensor]]


def average_over_frames(
    evaluate: Evaluate,
    edge_tables: Sequence[Tensor],
    node: Tensor,
    neighbors: Tensor,
    rows: FrameRows | None,
    chunk: int | None,
    spread: bool = False,
) -> tuple[list[Tensor], list[Tensor]]:
    """Results of every centre, averaged over its frames.

    Rows are taken in the order of their number of neighbors, so that little is spent on padding;
    each part gets its tables cut to the neighbors that it has.

    :param evaluate: computes the rows of one part
    :param edge_tables: (n_centres, n_neighbors, ...) each
    :param node: (n_centres, node_width)
    :param neighbors: (n_centres,), number of neighbors
    :param rows: frames and weights; None evaluates every centre once, as it lies
    :param chunk: with more rows than this, evaluate so many at a time and recompute them in the
        backward pass, which bounds memory; None keeps all activations
    :param spread: also return the variances over frames
    :return: the averages, (n_centres, ...) each, and their variances (empty unless asked for)
    """
    all_centres = torch.arange(len(neighbors), device=node.device) if rows is None else rows.centre
    counts, order = torch.sort(neighbors[all_centres], stable=True)
    centre = all_centres[order]
    recompute = chunk is not None and len(order) > chunk and torch.is_grad_enabled()
    size = min(_PART[node.device.type], chunk or _PART[node.device.type])
    centres = torch.split(centre, size)
    widths = [max(int(c[-1]), 1) if len(c) else 1 for c in torch.split(counts.cpu(), size)]
    if rows is None:
        frames = shares = [None] * len(centres)
    else:
        frames = torch.split(rows.frames[order], size)
        shares = torch.split(rows.weights[order].to(node.dtype), size)

    def part(
        some: Tensor, turn: Tensor | None, share: Tensor | None, *tables: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Results of some rows, times their weights; and the bare results where needed."""
        # index_select: its backward is an index_add, several times faster than indexing's.
        picked = [table.index_select(0, some) for table in tables]
        bare = evaluate(turn, picked[:-1], picked[-1])
        if share is None:
            return bare, bare
        return [x * share.view(-1, *(1,) * (x.dim() - 1)) for x in bare], bare if spread else []

    averages: list[Tensor] = []
    bare_parts = []
    for some, turn, share, width in zip(centres, frames, shares, widths, strict=True):
        arguments = (some, turn, share, *(table[:, :width] for table in edge_tables), node)
        if recompute:
            weighted, bare = checkpoint(part, *arguments, use_reentrant=False)
        else:
            weighted, bare = part(*arguments)
        if not averages:
            averages = [x.new_zeros(len(neighbors), *x.shape[1:]) for x in weighted]
        for total, values in zip(averages, weighted, strict=True):
            # In place: one table for the sum, however many parts.
            total.index_add_(0, some, values)
        bare_parts.append(bare)
    if not spread:
        return averages, []
    variances = [torch.zeros_like(mean) for mean in averages]
    for some, share, bare in zip(centres, shares, bare_parts, strict=True):
        for total, mean, values in zip(variances, averages, bare, strict=True):
            square = (values - mean.index_select(0, some)).square()
            total.index_add_(0, some, square * share.view(-1, *(1,) * (square.dim() - 1)))
    return averages, variances
