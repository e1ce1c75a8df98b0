"""Progress of long work: a bar on a terminal, or a line every ten seconds in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

_SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Count of steps towards a total, shown on stderr while the context is open.

    :param what: name of the work, shown before the numbers
    :param total: number of steps
    :param done: number of steps finished before
    :param with_rate: whether to show steps per second; not useful where a step is a second
    """

    def __init__(self, what: str, total: int, done: int = 0, with_rate: bool = True) -> None:
        self.what, self.total, self.done = what, total, done
        self._with_rate = with_rate
        self._console = Console(file=sys.stderr)
        self._bar: Bar | None = None
        self._started = self._printed = time.monotonic()
        self._first = done

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
            )
            self._bar = Bar(*columns, TextColumn("{task.fields[note]}"), console=self._console)
            self._task = self._bar.add_task(
                self.what, total=self.total, completed=self.done, note=""
            )
            self._bar.start()
        return self

    def __exit__(
        self, error_type: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, note: str = "", steps: int = 1) -> None:
        """Add steps to the count.

        :param note: text shown next to the numbers
        """
        self.done += steps
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, note=note)
            return
        now = time.monotonic()
        if now - self._printed >= _SECONDS_BETWEEN_LINES or self.done == self.total:
            self._printed = now
            rate = (self.done - self._first) / max(now - self._started, 1e-9)
            left = (self.total - self.done) / max(rate, 1e-9)
            speed = f"{rate:.3g}/s, " if self._with_rate else ""
            self.say(f"{self.what} {self.done}/{self.total}, {speed}{left:.0f} s left, {note}")

    def say(self, line: str) -> None:
        """Print a line above the bar, or among the lines of the log."""
        if self._bar is not None:
            self._bar.console.print(line)
        else:
            print(line, file=sys.stderr, flush=True)
