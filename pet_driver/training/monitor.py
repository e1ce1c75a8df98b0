"""Monitor of a running training: progress on the terminal and rows of the log."""

from __future__ import annotations

import math
from pathlib import Path
from types import TracebackType

from ..runtime.progress import Progress
from .log import Log
from .options import FitOptions
from .state import Counters


class Monitor:
    """Shows how a training proceeds; a context manager.

    :param fit: its schedule ends after a number of steps or of seconds
    :param counters: where the training stands; rows of the log beyond that are removed
    :param folder: receives the log; None: show and write nothing
    """

    def __init__(self, fit: FitOptions, counters: Counters, folder: Path | None) -> None:
        self._limit = fit.max_time if fit.schedule == "time" else None
        self._total = fit.steps if self._limit is None else max(math.ceil(self._limit), 1)
        self._counters = counters
        self._log = self._progress = None
        if folder is not None:
            self._log = Log(folder)
            self._log.keep_until(counters.step)
            what = "training" if self._limit is None else "training, seconds"
            done = counters.step if self._limit is None else int(counters.elapsed)
            self._progress = Progress(what, self._total, done, with_rate=self._limit is None)

    def __enter__(self) -> Monitor:
        if self._progress is not None:
            self._progress.__enter__()
        if self._progress is not None and self._log is not None and self._log.missing:
            self._progress.say(self._log.missing)
        return self

    def __exit__(
        self, error_type: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.__exit__(error_type, error, trace)

    def advance(self, loss: float) -> None:
        """Show that the counters have moved on.

        :param loss: mean since the last validation
        """
        if self._progress is None:
            return
        by_step = self._limit is None
        done = self._counters.step if by_step else min(int(self._counters.elapsed), self._total)
        self._progress.advance(f"loss {loss:.4g}", done - self._progress.done)

    def write(self, row: dict[str, float]) -> None:
        """Add a row to the log and show it.

        :param row: see `Log.write`
        """
        if self._progress is not None and self._log is not None:
            self._log.write(row, self._progress)
