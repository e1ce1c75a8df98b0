"""The (centre, frame) pairs in which a network is evaluated, and the fixed rotations that can
multiply them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# Super-Fibonacci spirals on the quaternions (Alexa, CVPR 2022): psi^4 = psi + 4.
_PHI = math.sqrt(2.0)
_PSI = 1.533751168755204288118041


@dataclass
class FrameRows:
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

    def select(self, some: Tensor) -> FrameRows:
        """The rows of some of the centres, which are counted anew.

        :param some: (n_kept,), ascending
        """
        place = torch.full((self.n_centres,), -1, device=some.device)
        place[some] = torch.arange(len(some), device=some.device)
        centre = place[self.centre]
        kept = torch.nonzero(centre >= 0).view(-1)
        return FrameRows(centre[kept], self.frames[kept], self.weights[kept], len(some))

    def turned(self, turns: Tensor) -> FrameRows:
        """Every frame multiplied by each of the matrices, which share its weight.

        :param turns: (n_turns, 3, 3), see `fixed_turns`
        """
        count = len(turns)
        if count == 1:
            return self
        frames = self.frames[:, None] @ turns.to(self.frames)
        weights = (self.weights / count).repeat_interleave(count)
        centre = self.centre.repeat_interleave(count)
        return FrameRows(centre, frames.reshape(-1, 3, 3), weights, self.n_centres)

    def sample(
        self, generator: torch.Generator | None = None, draw: Tensor | None = None
    ) -> FrameRows:
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
        return FrameRows(self.centre[rows], self.frames[rows], ones, self.n_centres)


def fixed_turns(extra_rotations: int, parity: bool) -> Tensor:
    """Matrices that multiply every frame from the right: the identity, so many further rotations,
    and with ``parity`` the mirrored copy of each.

    The set is the same in every call: a rotation drawn anew would make the energy a random function
    of time. Averages over ``F`` and ``F diag(1, -1, 1)`` are invariant under inversion too, as the
    second axis of a frame is a pseudovector.

    :return: (n_turns, 3, 3), float64
    """
    turns = torch.cat([torch.eye(3, dtype=torch.float64)[None], _spread_rotations(extra_rotations)])
    if parity:
        mirror = torch.diag(torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64))
        turns = torch.cat([turns, turns @ mirror])
    return turns


def _spread_rotations(count: int) -> Tensor:
    """Evenly spread rotations, (count, 3, 3): super-Fibonacci sampling."""
    s = torch.arange(count, dtype=torch.float64) + 0.5
    near, far = torch.sqrt(s / max(count, 1)), torch.sqrt(1.0 - s / max(count, 1))
    a, b = 2.0 * math.pi * s / _PHI, 2.0 * math.pi * s / _PSI
    x, y, z, w = near * a.sin(), near * a.cos(), far * b.sin(), far * b.cos()
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
