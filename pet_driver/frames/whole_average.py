"""Averages over frames of all samples at once, for which the host waits for no number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..runtime.table_sizes import TableSizes
from .frame_set import FrameSet
from .samples import Evaluate, Moments, SamplePart, Samples, moments, slots_taken

# With samples in the order of their neighbors: the shares at which all classes but the last end.
# About those that leave the least padding in liquid water.
_ENDS: tuple[tuple[float, ...], ...] = ((0.7,), (0.5, 0.85), (0.35, 0.7, 0.9))
# Each class has kernels of its own, so that its samples should be enough to fill a GPU with each.
_LEAST_SAMPLES = 1024
CLASSES = "width classes"  # number of them
WIDTHS = "neighbors of width class "  # begins the names of their sizes


class WholeAverage:
    """The average of `FrameAverage`, of all samples at once.

    Nothing in it depends on numbers that the host would have to wait for, and samples of no weight
    may be among those of the frames.

    :param frames: frames and weights; None evaluates every centre once
    :param classes: of the samples; None: one, in the tables as they are
    """

    def __init__(self, frames: FrameSet | None, classes: WidthClasses | None = None) -> None:
        self._frames, self._classes = frames, classes

    def __call__(
        self,
        evaluate: Evaluate,
        edge_tables: Sequence[Tensor],
        node_table: Tensor,
        variances: bool = False,
    ) -> Moments:
        """Averages and, if asked for, variances, as of `FrameAverage`.

        :param evaluate: gives tables of edges, if any, as wide as ``edge_tables``
        """
        samples = Samples.of(self._frames, node_table)
        if self._classes is not None:
            return self._classes.average(evaluate, edge_tables, node_table, samples, variances)
        width = edge_tables[0].shape[1]
        return SamplePart(evaluate, width, samples, variances)(*edge_tables, node_table)


@dataclass(frozen=True)
class WidthClasses:
    """Samples by their number of neighbors, for tables that are no wider than each class needs.

    order: (n_of_class,) each, indices of the samples; widths: largest number of neighbors of each
    class, for which there is room in its tables.
    """

    order: tuple[Tensor, ...]
    widths: tuple[int, ...]

    @classmethod
    def of(cls, valid: Tensor, frames: FrameSet | None, sizes: TableSizes) -> WidthClasses | None:
        """Divide the samples, if there are enough of them.

        :param valid: (n_centres, n_neighbors), False for padding
        :param frames: of the centres; None: each is one sample
        :param sizes: from which classes get their widths
        :return: None: too few samples
        """
        n_samples = len(valid) if frames is None else len(frames.centre)
        n_classes = sizes.number(CLASSES, len(class_ends(n_samples)) + 1)
        if n_classes == 1:
            return None
        shares = _ENDS[n_classes - 2]
        width, needed = valid.shape[1], slots_taken(valid)
        if frames is not None:
            # Samples of no weight come first: those that fill a table of frames need nothing, and
            # their number must not shift the others into wider classes.
            needed = needed.index_select(0, frames.centre) * (frames.weights > 0)
        needed, order = torch.sort(needed)
        ends = [max(int(share * n_samples), 1) for share in shares]
        widths = [
            min(max(sizes.of(f"{WIDTHS}{k}", needed[end - 1]), 1), width)
            for k, end in enumerate(ends, 1)
        ]
        parts = torch.tensor_split(order, ends)
        return cls(parts, (*widths, width))

    def average(
        self,
        evaluate: Evaluate,
        edge_tables: Sequence[Tensor],
        node_table: Tensor,
        samples: Samples,
        variances: bool,
    ) -> Moments:
        """Averages and, if asked for, variances of the results of all classes."""
        counts = [len(x) for x in self.order]
        order = torch.cat(self.order)
        index = samples.index.index_select(0, order)
        indices = torch.split(index, counts)
        edges = zip(*(_rows(t, self.widths, indices) for t in edge_tables), strict=True)
        nodes = torch.split(node_table.index_select(0, index), counts)
        frames: Iterable[Tensor | None] = [None] * len(counts)
        weights: Sequence[Tensor | None] = [None] * len(counts)
        if samples.frames is not None and samples.weights is not None:
            frames = torch.split(samples.frames.index_select(0, order), counts)
            weights = torch.split(samples.weights.index_select(0, order), counts)
        found = [evaluate(*x) for x in zip(frames, edges, nodes, strict=True)]
        given = variances and samples.weights is not None
        return moments(found, indices, weights, len(node_table), given)


def class_ends(n_samples: int) -> tuple[float, ...]:
    """Shares of samples at which all classes but the last end; none: all are one class."""
    for ends in reversed(_ENDS):
        if (1.0 - ends[-1]) * n_samples >= _LEAST_SAMPLES:
            return ends
    return ()


def _rows(table: Tensor, widths: Sequence[int], indices: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Rows of a table for each class, (n_of_class, width of the class, ...)."""
    found: tuple[Tensor, ...] = _Rows.apply(table, widths, *indices)  # type: ignore[no-untyped-call]
    return found


class _Rows(torch.autograd.Function):
    """See `_rows`; the gradients of all classes are added up in one table."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        table: Tensor,
        widths: Sequence[int],
        *indices: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.shape, ctx.widths = table.shape, widths
        ctx.save_for_backward(*indices)
        rows = zip(widths, indices, strict=True)
        return tuple(table[:, :width].index_select(0, index) for width, index in rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        total = gradients[0].new_zeros(ctx.shape)
        for gradient, width, index in zip(gradients, ctx.widths, ctx.saved_tensors, strict=True):
            total[:, :width].index_add_(0, index, gradient)
        return total, None, *(None for _ in ctx.saved_tensors)
