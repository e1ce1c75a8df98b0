"""The training loop: steps, validations and saved states until the schedule ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from .monitor import Monitor
from .options import FitOptions
from .schedule import Schedule
from .state import Counters

# From the seconds spent so far, as this process measures them, to the loss of a step.
TakeStep = Callable[[float], float]
# From the mean loss since the last validation to a row of the log, see `Log.write`.
Validate = Callable[[float], dict[str, float]]


class Loop:
    """Repeats steps until the schedule ends or the validation errors no longer fall.

    :param counters: of the training, which the steps advance
    """

    def __init__(
        self, fit: FitOptions, schedule: Schedule, counters: Counters, monitor: Monitor
    ) -> None:
        self.fit, self.schedule = fit, schedule
        self.counters, self.monitor = counters, monitor

    def run(self, take_step: TakeStep, validate: Validate | None, save: Callable[[], None]) -> None:
        """Run to the end; the state is saved every ``checkpoint_minutes`` and at the end.

        :param validate: called every ``validate_every`` steps and at the end; None: no validation
        """
        counters, before = self.counters, self.counters.elapsed
        started = saved = time.monotonic()
        losses = _Mean()
        with self.monitor as monitor:
            while not self.schedule.ended(counters.step, counters.elapsed, counters.worse):
                losses.add(take_step(before + time.monotonic() - started))
                monitor.advance(losses.value)
                if validate is not None and counters.step % self.fit.validate_every == 0:
                    row = validate(losses.take())
                    monitor.write(row)
                    self._compare_with_best(row)
                if time.monotonic() - saved > 60.0 * self.fit.checkpoint_minutes:
                    save()
                    saved = time.monotonic()
            if validate is not None and losses.count:
                monitor.write(validate(losses.take()))
        save()

    def _compare_with_best(self, row: dict[str, float]) -> None:
        """Count validations since the lowest error; the same on every process.

        The error is that of the forces, or of the first quantity where there are no forces.
        """
        key = next((k for k in row if k.startswith("force_rmse")), None)
        key = key or next((k for k in row if "rmse" in k), None)
        if key is None:
            return  # the structures to validate on have no labels
        error = row[key]
        if error < self.counters.best:
            self.counters.best, self.counters.worse = error, 0
        else:
            self.counters.worse += 1


@dataclass
class _Mean:
    """Running mean of the losses since the last validation."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        self.total += value
        self.count += 1

    @property
    def value(self) -> float:
        return self.total / self.count

    def take(self) -> float:
        """The mean; the next value starts a new one."""
        value, self.total, self.count = self.value, 0.0, 0
        return value
