"""Schedule of a training: learning rate, energy weight, sampling of frames, and the end."""

from __future__ import annotations

import dataclasses
import math

from .options import FitOptions

_WARMUP_SHARE = 0.1  # of the training, at most


class Schedule:
    """Functions of `step`, the number of steps done, and `elapsed`, the seconds spent."""

    def __init__(self, fit: FitOptions) -> None:
        self.fit = fit

    def done(self, step: int, elapsed: float) -> float:
        """Share of the training that is done, 0 to 1."""
        share = step / max(self.fit.steps, 1)
        if self.fit.schedule == "time" and self.fit.max_time is not None:
            share = max(share, elapsed / self.fit.max_time)
        return min(share, 1.0)

    def rate(self, step: int, elapsed: float) -> float:
        """Factor of the learning rate, 0 to 1: linear warm-up, then a cosine to zero.

        The warm-up takes a tenth of the training at most.
        """
        fit, done = self.fit, self.done(step, elapsed)
        if step < fit.warmup_steps and done < _WARMUP_SHARE:
            return min(max((step + 1) / fit.warmup_steps, done / _WARMUP_SHARE), 1.0)
        if fit.schedule != "time":
            start = min(fit.warmup_steps, _WARMUP_SHARE * fit.steps)
            done = (step - start) / max(fit.steps - start, 1)
        return 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))

    def weighted(self, step: int, elapsed: float) -> FitOptions:
        """The options with the weights that energies and stresses have at this step.

        They grow because total energies and virials are of little use before the forces are right:
        each step shifts them for a whole structure, and that noise would dominate the gradient.
        Energies of single atoms help most before the forces are right, so their weight falls.
        """
        fit, done = self.fit, self.done(step, elapsed)
        energy_weight = fit.energy_weight * math.pow(done, fit.energy_ramp)
        if self.final(step, elapsed):
            energy_weight = fit.final_energy_weight
        stress_weight = fit.stress_weight * math.pow(done, fit.stress_ramp)
        return dataclasses.replace(
            fit,
            energy_weight=energy_weight,
            stress_weight=stress_weight,
            atom_energy_weight=fit.atom_energy_weight * (1.0 - done),
        )

    def final(self, step: int, elapsed: float) -> bool:
        """Whether this is the final part, the last ``final_share`` of the training."""
        share = self.fit.final_share
        return share > 0.0 and self.done(step, elapsed) >= 1.0 - share

    def sampled(self, step: int, elapsed: float) -> bool:
        """Whether frames of each centre are drawn, instead of averaging over all."""
        return self.done(step, elapsed) < (self.fit.sampled_share or 0.0)

    def ended(self, step: int, elapsed: float, worse: int) -> bool:
        """Whether all steps are done, or the time or the patience is over.

        :param worse: number of validations since the lowest error
        """
        late = self.fit.max_time is not None and elapsed > self.fit.max_time
        impatient = self.fit.patience is not None and worse >= self.fit.patience
        return step >= self.fit.steps or late or impatient
