"""The (centre, frame) samples of some centres, and their evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .frame_set import FrameSet

# (frames or None, edge tables of the samples, node table of the samples) -> results, (n_samples,
# ...) each
Evaluate = Callable[[Tensor | None, Sequence[Tensor], Tensor], Sequence[Tensor]]
# Averages and variances over frames of the results, (n_centres, ...) each.
Moments = tuple[list[Tensor], list[Tensor]]


@dataclass(frozen=True)
class Samples:
    """Samples in the order in which centres are processed.

    index: (n_samples,), position of the centre of each; frames: (n_samples, 3, 3) and weights:
    (n_samples,), both None for plain evaluation.
    """

    index: Tensor
    frames: Tensor | None
    weights: Tensor | None

    @classmethod
    def of(cls, frames: FrameSet | None, node_table: Tensor) -> Samples:
        """Samples in the order of the frames, their weights in the dtype of the network.

        :param frames: None: each centre is one sample
        """
        if frames is None:
            return cls(torch.arange(len(node_table), device=node_table.device), None, None)
        return cls(frames.centre, frames.frames, frames.weights.to(node_table.dtype))

    @classmethod
    def in_order(
        cls, frames: FrameSet | None, position: Tensor, order: Tensor
    ) -> tuple[Samples, Tensor]:
        """Samples of all frames, and the number of samples at each position.

        :param position: (n_centres,), the position of each centre
        :param order: (n_centres,), its inverse
        """
        if frames is None:
            index = torch.arange(len(position), device=position.device)
            return cls(index, None, None), torch.ones_like(position)
        index, sample_order = torch.sort(position[frames.centre], stable=True)
        counts = frames.counts()[order]
        return cls(index, frames.frames[sample_order], frames.weights[sample_order]), counts

    def split(self, sizes: list[int], dtype: torch.dtype) -> Iterator[Samples]:
        """Runs of samples of the given sizes, the weights in another dtype."""
        indices = torch.split(self.index, sizes)
        if self.frames is None or self.weights is None:
            yield from (Samples(index, None, None) for index in indices)
            return
        weights = torch.split(self.weights.to(dtype), sizes)
        yield from map(Samples, indices, torch.split(self.frames, sizes), weights)

    def shifted(self, start: int) -> Samples:
        """The same samples with positions counted from ``start``."""
        return Samples(self.index - start, self.frames, self.weights)


@dataclass(frozen=True)
class SamplePart:
    """A run of centres, its samples, and the function that evaluates them.

    width: largest number of neighbors of these centres, at least 1.
    """

    evaluate: Evaluate
    width: int
    samples: Samples
    variances: bool

    def __call__(self, *tables: Tensor) -> Moments:
        """Averages and variances of the results.

        :param tables: those of the edges, (n_centres, n_neighbors, ...) each, and last that of the
            nodes, (n_centres, node_width)
        """
        tables = (*(table[:, : self.width] for table in tables[:-1]), tables[-1])
        if self.samples.weights is None:
            return list(self.evaluate(None, tables[:-1], tables[-1])), []
        # index_select: its backward is an index_add, several times faster than indexing's.
        index = self.samples.index
        *edges, nodes = (table.index_select(0, index) for table in tables)
        values = self.evaluate(self.samples.frames, edges, nodes)
        return moments([values], [index], [self.samples.weights], len(tables[-1]), self.variances)


def slots_taken(valid: Tensor) -> Tensor:
    """Slots of each row up to the last that is taken, (n_centres,).

    They may be more than its neighbors: an edge whose length differs by rounding at its two ends
    leaves a free slot between others.

    :param valid: (n_centres, n_neighbors), False for padding
    """
    slots = torch.arange(1, valid.shape[1] + 1, device=valid.device)
    return (valid * slots).amax(1)


def moments(
    found: Sequence[Sequence[Tensor]],
    indices: Sequence[Tensor],
    weights: Sequence[Tensor | None],
    n_centres: int,
    variances: bool,
) -> Moments:
    """Averages and, if asked for, variances of results that were evaluated in several tables.

    :param found: results of each table, (n_samples_of_table, ...) each
    :param indices: (n_samples_of_table,) for each table, the centres
    :param weights: likewise; None: 1
    :param variances: not without weights
    """
    results = list(zip(*found, strict=True))
    means = [_sums(values, indices, weights, n_centres) for values in results]
    if not variances:
        return means, []
    squares = (
        [(x - mean.index_select(0, k)).square() for x, k in zip(values, indices, strict=True)]
        for values, mean in zip(results, means, strict=True)
    )
    return means, [_sums(x, indices, weights, n_centres) for x in squares]


def _sums(
    values: Sequence[Tensor],
    indices: Sequence[Tensor],
    weights: Sequence[Tensor | None],
    n_centres: int,
) -> Tensor:
    """Weighted sums of the values of each centre, (n_centres, ...), over all tables."""
    shape = values[0].shape[1:]
    weighted = [
        x if weight is None else x * weight.view(-1, *(1,) * len(shape))
        for x, weight in zip(values, weights, strict=True)
    ]
    # The weights may be more precise than the values, and then so are the sums.
    total = weighted[0].new_zeros(n_centres, *shape)
    for x, index in zip(weighted, indices, strict=True):
        total = total.index_add_(0, index, x)
    return total
