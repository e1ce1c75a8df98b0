"""Evaluation of the (centre, frame) samples part by part, and averages over frames."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .frame_set import FrameSet
from .samples import Evaluate, Moments, SamplePart, Samples

# Samples in one part: what fits the cache of a CPU core; what the attention kernels of CUDA allow.
_PART = {"cpu": 192, "cuda": 65_535}


class FirstCentres(ABC):
    """Centres that are evaluated before the others, and what is done with their averages.

    centres: (n_first,), their indices.
    """

    centres: Tensor

    @abstractmethod
    def done(self, averages: list[Tensor], centres: Tensor) -> None:
        """Take up the averages of the results, (n_first, ...) each, as soon as they are there.

        :param centres: (n_first,), index of the centre of each row
        """

    @abstractmethod
    def part_done(self) -> None:
        """Note that one more part of the other centres has been evaluated."""


class FrameAverage:
    """Average over the frames of each centre of what a function computes from tables of centres.

    Centres are processed in the order of their number of neighbors, so that little is spent on
    padding; each part gets tables cut to the neighbors that it has. As a part is a run of centres,
    the gradients of its tables are as small as the part, and the whole is linear in the number of
    atoms.
    """

    def __init__(
        self,
        neighbors: Tensor,
        frames: FrameSet | None,
        chunk: int | None,
        first: FirstCentres | None = None,
    ) -> None:
        """Divide the samples into parts.

        :param neighbors: (n_centres,), number of slots that are taken, see `slots_taken`
        :param frames: frames and weights; None evaluates every centre once, in the coordinates
            that the tables have
        :param chunk: with more samples than this, evaluate so many at a time and recompute them in
            the backward pass, which bounds memory; None keeps all activations
        :param first: centres that make parts of their own, which come first
        """
        self._first = first
        counts, self._order = _sorted(neighbors, None if first is None else first.centres)
        self._position = torch.argsort(self._order)
        self._samples, per_centre = Samples.in_order(frames, self._position, self._order)
        largest = _PART[neighbors.device.type]
        self._recompute = (
            chunk is not None and len(self._samples.index) > chunk and torch.is_grad_enabled()
        )
        largest = min(largest, chunk or largest)
        n_first = 0 if first is None else len(first.centres)
        self._n_centres, self._n_samples = _part_sizes(per_centre[n_first:], largest)
        self._first_parts = 0
        if n_first:
            n_centres, n_samples = _part_sizes(per_centre[:n_first], largest)
            self._first_parts = len(n_centres)
            self._n_centres = n_centres + self._n_centres
            self._n_samples = n_samples + self._n_samples
        last = (int(c[-1]) if len(c) else 0 for c in torch.split(counts.cpu(), self._n_centres))
        self._widths = [max(n, 1) for n in last]

    def __call__(
        self,
        evaluate: Evaluate,
        edge_tables: Sequence[Tensor],
        node_table: Tensor,
        variances: bool = False,
    ) -> Moments:
        """Averages and, if asked for, variances of the results of ``evaluate``.

        :param evaluate: computes the samples of one part
        :param edge_tables: (n_centres, n_neighbors, ...) each
        :param node_table: (n_centres, node_width)
        :param variances: also return the variances over frames
        :return: the averages, (n_centres, ...) each, and their variances (empty unless asked for)
        """
        ordered = [t.index_select(0, self._order) for t in (*edge_tables, node_table)]
        tables = zip(*(_runs(t, self._n_centres) for t in ordered), strict=True)
        parts = self._parts(evaluate, variances, node_table.dtype)
        results: list[Moments] = []
        for part, some in zip(parts, tables, strict=True):
            if self._recompute:
                results.append(recomputed(part, *some))
            else:
                results.append(part(*some))
            self._tell_first(results)
        return self._joined(m for m, _ in results), self._joined(v for _, v in results)

    def _tell_first(self, results: list[Moments]) -> None:
        """Hand over the averages of the first centres, or say that another part is done."""
        if self._first is None or len(results) < self._first_parts:
            return
        if len(results) > self._first_parts:
            self._first.part_done()
            return
        averages = [torch.cat(x) for x in zip(*(means for means, _ in results), strict=True)]
        self._first.done(averages, self._order[: len(self._first.centres)])

    def _parts(
        self, evaluate: Evaluate, variances: bool, dtype: torch.dtype
    ) -> Iterator[SamplePart]:
        """Parts in the order of processing; centres are numbered from 0 in each."""
        starts = itertools.accumulate(self._n_centres[:-1], initial=0)
        for start, width, samples in zip(
            starts, self._widths, self._samples.split(self._n_samples, dtype), strict=True
        ):
            yield SamplePart(evaluate, width, samples.shifted(start), variances)

    def _joined(self, parts: Iterable[list[Tensor]]) -> list[Tensor]:
        """Results of all parts, in the order of the centres of the tables."""
        return [torch.cat(x).index_select(0, self._position) for x in zip(*parts, strict=True)]


def _sorted(neighbors: Tensor, first: Tensor | None) -> tuple[Tensor, Tensor]:
    """Numbers of neighbors in ascending order, and their centres; some centres before all others.

    :param first: (n_first,), indices of these centres; None: no centre
    """
    if first is None:
        return torch.sort(neighbors, stable=True)
    later = (neighbors + 2**32).index_copy(0, first, neighbors.index_select(0, first))
    order = torch.argsort(later, stable=True)
    return neighbors.index_select(0, order), order


def recomputed(function: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
    """``function(*arguments)``, computed again in the backward pass instead of kept.

    Nothing in it is random, so the state of random numbers, which lies on the GPU, stays there.
    """
    return checkpoint(function, *arguments, use_reentrant=False, preserve_rng_state=False)


def _runs(table: Tensor, sizes: list[int]) -> tuple[Tensor, ...]:
    """Runs of rows of the given sizes; one that has all rows costs nothing in the backward pass."""
    return (table,) if len(sizes) == 1 else torch.split(table, sizes)


def _part_sizes(per_centre: Tensor, size: int) -> tuple[list[int], list[int]]:
    """Numbers of centres and of samples of runs of centres with at most ``size`` samples each.

    A centre that has more is a run of its own.

    :param per_centre: (n_centres,), number of samples
    """
    ends = torch.cumsum(per_centre.cpu(), 0).numpy()
    n_centres, n_samples = [], []
    first, before = 0, 0
    while first < len(ends):
        next_first = max(int(np.searchsorted(ends, before + size, side="right")), first + 1)
        n_centres.append(next_first - first)
        n_samples.append(int(ends[next_first - 1]) - before)
        first, before = next_first, int(ends[next_first - 1])
    return n_centres or [0], n_samples or [0]


def in_parts(function: Callable[..., Tensor], chunk: int | None, *tables: Tensor | None) -> Tensor:
    """``function(*tables)``, for some centres at a time where gradients are recorded.

    With more than ``chunk`` centres each part is recomputed in the backward pass, which bounds
    memory; with None, or where no gradient is recorded, all are evaluated at once.

    :param function: gives (n_centres, ...)
    :param tables: (n_centres, ...) each, or None, which is passed on
    """
    count = next(len(table) for table in tables if table is not None)
    if chunk is None or count <= chunk or not torch.is_grad_enabled():
        return function(*tables)
    n_parts = len(range(0, count, chunk))
    columns = [[None] * n_parts if t is None else torch.split(t, chunk) for t in tables]
    parts = zip(*columns, strict=True)
    return torch.cat([recomputed(function, *part) for part in parts])
