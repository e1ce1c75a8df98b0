"""The (centre, frame) pairs in which a network is evaluated, and the fixed rotations that can
multiply them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class FrameSet:
    """The (centre, frame) pairs to evaluate, sorted by centre.

    centre: (n_rows,) index of the environment, or of the structure where frames are pooled; frames:
    (n_rows, 3, 3), the axes are the columns, so that local coordinates are ``x @ F``; weights:
    (n_rows,), summing to 1 for each centre.
    """

    centre: Tensor
    frames: Tensor
    weights: Tensor
    n_centres: int

    def counts(self) -> Tensor:
        """Number of frames of each centre, (n_centres,)."""
        return torch.bincount(self.centre, minlength=self.n_centres)

    def select(self, some: Tensor) -> FrameSet:
        """The rows of some of the centres, which are counted anew.

        :param some: (n_kept,), ascending
        """
        place = torch.full((self.n_centres,), -1, device=some.device)
        place[some] = torch.arange(len(some), device=some.device)
        centre = place[self.centre]
        kept = torch.nonzero(centre >= 0).view(-1)
        return FrameSet(centre[kept], self.frames[kept], self.weights[kept], len(some))

    def turned(self, turns: Tensor) -> FrameSet:
        """Every frame multiplied by each of the matrices, which share its weight.

        :param turns: (n_turns, 3, 3), see `fixed_rotations`
        """
        count = len(turns)
        if count == 1:
            return self
        frames = self.frames[:, None] @ turns.to(self.frames)
        weights = (self.weights / count).repeat_interleave(count)
        centre = self.centre.repeat_interleave(count)
        return FrameSet(centre, frames.reshape(-1, 3, 3), weights, self.n_centres)

    def sample(
        self, generator: torch.Generator | None = None, draw: Tensor | None = None
    ) -> FrameSet:
        """One row per centre, drawn with probability equal to its weight; its weight becomes 1.

        :param draw: (n_centres,), uniform from 0 to 1, which decide; None: drawn by the generator

        The average over draws is the full average. So is that of derivatives up to the change
        of the weights: its estimate would be the value times d(log weight), whose variance is
        unbounded where a frame is switched off, so it is left to training with all frames.
        """
        weights = self.weights.detach()
        cumulative = torch.cumsum(weights, dim=0)
        counts = self.counts()
        first = torch.cumsum(counts, dim=0) - counts
        start = cumulative[first] - weights[first]
        if draw is None:
            draw = torch.rand(
                self.n_centres, generator=generator, dtype=weights.dtype, device=weights.device
            )
        rows = torch.searchsorted(cumulative, start + draw)
        rows = torch.minimum(torch.maximum(rows, first), first + counts - 1)
        ones = torch.ones_like(weights[rows])
        return FrameSet(self.centre[rows], self.frames[rows], ones, self.n_centres)
