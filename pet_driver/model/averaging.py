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
    frames = [None] * len(centres) if rows is None else torch.split(rows.frames[order], size)
    widths = [max(int(c[-1]), 1) if len(c) else 1 for c in torch.split(counts.cpu(), size)]

    def gathered(some: Tensor, turn: Tensor | None, *tables: Tensor) -> Sequence[Tensor]:
        # index_select: its backward is an index_add, several times faster than indexing's.
        picked = [table.index_select(0, some) for table in tables]
        return evaluate(turn, picked[:-1], picked[-1])

    tables = (*edge_tables, node)
    if recompute:
        results = [
            checkpoint(gathered, c, f, *(t[:, :w] for t in edge_tables), node, use_reentrant=False)
            for c, f, w in zip(centres, frames, widths, strict=True)
        ]
    else:
        parts = zip(*(torch.split(t.index_select(0, centre), size) for t in tables), strict=True)
        results = [
            evaluate(f, [t[:, :w] for t in part[:-1]], part[-1])
            for part, f, w in zip(parts, frames, widths, strict=True)
        ]
    joined = [torch.cat(pieces) for pieces in zip(*results, strict=True)]
    weights = None if rows is None else rows.weights[order].to(node.dtype)

    def averaged(values: Tensor) -> Tensor:
        if weights is not None:
            values = values * weights.view(-1, *(1,) * (values.dim() - 1))
        return values.new_zeros(len(neighbors), *values.shape[1:]).index_add(0, centre, values)

    averages = [averaged(x) for x in joined]
    if not spread:
        return averages, []
    deviations = (
        x - mean.index_select(0, centre) for x, mean in zip(joined, averages, strict=True)
    )
    return averages, [averaged(x.square()) for x in deviations]
