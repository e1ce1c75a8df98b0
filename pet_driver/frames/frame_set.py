"""The (centre, frame) pairs in which a network is evaluated."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class FrameSet:
    """Frames and weights of many centres; one *sample* is one (centre, frame) pair.

    centre: (n_samples,), ascending, index of the environment, or of the structure where frames are
    pooled. frames: (n_samples, 3, 3); the axes are the columns, so that local coordinates are
    ``x @ F``. weights: (n_samples,), summing to 1 for each centre. n_centres: number of centres.
    """

    centre: Tensor
    frames: Tensor
    weights: Tensor
    n_centres: int

    def counts(self) -> Tensor:
        """Number of frames of each centre, (n_centres,)."""
        return torch.bincount(self.centre, minlength=self.n_centres)

    def select(self, centres: Tensor) -> FrameSet:
        """Samples of some of the centres, which are numbered anew in the order given.

        :param centres: (n_kept,), ascending
        """
        new_index = torch.full((self.n_centres,), -1, device=centres.device)
        new_index[centres] = torch.arange(len(centres), device=centres.device)
        centre = new_index[self.centre]
        kept = torch.nonzero(centre >= 0).view(-1)
        return FrameSet(centre[kept], self.frames[kept], self.weights[kept], len(centres))

    def leaf(self) -> FrameSet:
        """The same frames and weights, cut off from what they were made of.

        Gradients with respect to them can be taken if they could before.
        """
        frames, weights = (
            x.detach().requires_grad_(x.requires_grad) for x in (self.frames, self.weights)
        )
        return FrameSet(self.centre, frames, weights, self.n_centres)

    def turned_each(self, rotations: Tensor) -> FrameSet:
        """Every frame multiplied by a matrix of its own, (n_samples, 3, 3)."""
        frames = self.frames @ rotations.to(self.frames)
        return FrameSet(self.centre, frames, self.weights, self.n_centres)

    def turned(self, rotations: Tensor) -> FrameSet:
        """Every frame multiplied by each of the matrices, which share its weight equally.

        :param rotations: (n_rotations, 3, 3), see `fixed_rotations`; one matrix is the identity
        """
        count = len(rotations)
        if count == 1:
            return self
        frames = self.frames[:, None] @ rotations.to(self.frames)
        weights = (self.weights / count).repeat_interleave(count)
        centre = self.centre.repeat_interleave(count)
        return FrameSet(centre, frames.reshape(-1, 3, 3), weights, self.n_centres)

    def sample(
        self, generator: torch.Generator | None = None, draw: Tensor | None = None
    ) -> FrameSet:
        """Frames drawn with probability equal to their weight, one or several for each centre.

        The average over draws is the full average. So is that of derivatives up to the change
        of the weights: its estimate would be the value times d(log weight), whose variance is
        unbounded where a frame is switched off, so it is left to training with all frames.

        :param generator: of the random numbers, if ``draw`` is None
        :param draw: (n_centres,) or (n_centres, n_draws), random numbers uniform in [0, 1)
        :return: n_draws frames of each centre, of equal weight
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
        draws = draw.view(self.n_centres, -1)
        chosen = torch.searchsorted(cumulative, start[:, None] + draws)
        last = (first + counts - 1)[:, None]
        chosen = torch.minimum(torch.maximum(chosen, first[:, None]), last).view(-1)
        equal = torch.full_like(weights[chosen], 1.0 / draws.shape[1])
        return FrameSet(self.centre[chosen], self.frames[chosen], equal, self.n_centres)
