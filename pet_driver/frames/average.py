"""Evaluating the (centre, frame) rows part by part, and averaging the results over the frames of
each centre.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .frame_set import FrameSet

# Rows at a time: what the cache of a CPU core likes; what the attention kernels of CUDA allow.
_PART = {"cpu": 96, "cuda": 65_535}

# (frames or None, edge tables of the rows, node table of the rows) -> results, one row each
Evaluate = Callable[[Tensor | None, Sequence[Tensor], Tensor], Sequence[Tensor]]


def average_over_frames(
    evaluate: Evaluate,
    edge_tables: Sequence[Tensor],
    node: Tensor,
    neighbors: Tensor,
    rows: FrameSet | None,
    chunk: int | None,
    spread: bool = False,
) -> tuple[list[Tensor], list[Tensor]]:
    """Results of every centre, averaged over its frames.

    Centres are taken in the order of their number of neighbors, so that little is spent on padding;
    each part gets tables cut to the neighbors that it has. As a part is a run of centres, what
    flows backward is as small as the part, and the whole linear in the number of atoms.

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
    counts, order = torch.sort(neighbors, stable=True)
    position = torch.argsort(order)
    frames, weights, row_place, row_counts = _in_order(rows, position, order)
    largest = _PART[node.device.type]
    recompute = chunk is not None and len(row_place) > chunk and torch.is_grad_enabled()
    sizes, row_sizes = _parts(row_counts, min(largest, chunk or largest))
    widths = [int(c[-1]) if len(c) else 0 for c in torch.split(counts.cpu(), sizes)]
    tables = [torch.split(t.index_select(0, order), sizes) for t in (*edge_tables, node)]
    first = torch.cumsum(torch.tensor([0, *sizes]), 0).tolist()

    def part(
        width: int,
        place: Tensor,
        turn: Tensor | None,
        share: Tensor | None,
        *tables: Tensor,
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Averages and variances of a run of centres; place: (n_rows,), the centre of each row."""
        tables = (*(table[:, :width] for table in tables[:-1]), tables[-1])
        if share is None:
            return evaluate(None, tables[:-1], tables[-1]), []
        # index_select: its backward is an index_add, several times faster than indexing's.
        picked = [table.index_select(0, place) for table in tables]
        values = evaluate(turn, picked[:-1], picked[-1])

        def averaged(x: Tensor) -> Tensor:
            weighted = x * share.view(-1, *(1,) * (x.dim() - 1))
            return x.new_zeros(len(tables[-1]), *x.shape[1:]).index_add(0, place, weighted)

        means = [averaged(x) for x in values]
        if not spread:
            return means, []
        pairs = zip(values, means, strict=True)
        return means, [averaged((x - mean.index_select(0, place)).square()) for x, mean in pairs]

    places = torch.split(row_place, row_sizes)
    turns = [None] * len(sizes) if frames is None else torch.split(frames, row_sizes)
    shares = [None] * len(sizes) if rows is None else torch.split(weights.to(node.dtype), row_sizes)
    results = []
    for k, (start, width) in enumerate(zip(first, widths, strict=False)):
        arguments = (max(width, 1), places[k] - start, turns[k], shares[k], *(t[k] for t in tables))
        if recompute:
            results.append(checkpoint(part, *arguments, use_reentrant=False))
        else:
            results.append(part(*arguments))

    def joined(pieces: Iterable[list[Tensor]]) -> list[Tensor]:
        return [torch.cat(x).index_select(0, position) for x in zip(*pieces, strict=True)]

    return joined(means for means, _ in results), joined(variances for _, variances in results)


def _in_order(
    rows: FrameSet | None, position: Tensor, order: Tensor
) -> tuple[Tensor | None, Tensor | None, Tensor, Tensor]:
    """Rows in the order of the centres.

    :param position: (n_centres,), the new place of each centre; order: its inverse
    :return: frames, weights, place of the centre of each row, and number of rows of each place
    """
    if rows is None:
        place = torch.arange(len(position), device=position.device)
        return None, None, place, torch.ones_like(position)
    place, row_order = torch.sort(position[rows.centre], stable=True)
    counts = rows.counts()[order]
    return rows.frames[row_order], rows.weights[row_order], place, counts


def _parts(row_counts: Tensor, size: int) -> tuple[list[int], list[int]]:
    """Runs of centres with about `size` rows each: number of centres and of rows of every run."""
    if not len(row_counts):
        return [0], [0]
    ends = torch.cumsum(row_counts.cpu(), 0)
    run = (ends - 1) // size
    _, sizes = torch.unique_consecutive(run, return_counts=True)
    last = torch.cumsum(sizes, 0) - 1
    row_sizes = torch.diff(ends[last], prepend=ends.new_zeros(1))
    return sizes.tolist(), row_sizes.tolist()


def in_parts(function: Callable[..., Tensor], chunk: int | None, *tables: Tensor | None) -> Tensor:
    """``function(*tables)`` for some centres at a time, recomputed in the backward pass where there
    are more than ``chunk`` of them.

    :param tables: (n_centres, ...) each, or None, which is passed on
    """
    count = next(len(table) for table in tables if table is not None)
    if chunk is None or count <= chunk or not torch.is_grad_enabled():
        return function(*tables)
    starts = range(0, count, chunk)
    parts = [[None] * len(starts) if t is None else torch.split(t, chunk) for t in tables]
    return torch.cat(
        [checkpoint(function, *part, use_reentrant=False) for part in zip(*parts, strict=True)]
    )
