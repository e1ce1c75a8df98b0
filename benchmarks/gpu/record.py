"""Rows of results of one step, written to a file as soon as they are known."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PASSED, FAILED, NO_TIME = "passed", "failed", "no time"
NOT_REHEARSED, RUNNING = "not rehearsed", "running"
_LONGEST_SENTENCE = 400

Row = dict[str, Any]


class NotMetError(Exception):
    """A result that is not what it should be.

    :param sentence: which, and what was expected
    :param numbers: of the row, recorded all the same
    """

    def __init__(self, sentence: str, numbers: Mapping[str, Any]) -> None:
        super().__init__(sentence)
        self.numbers = dict(numbers)


class NotRehearsedError(Exception):
    """What cannot be tried without a card; the message is the reason."""


class CudaLostError(Exception):
    """CUDA has failed in a way that every later call in the process fails too."""


class Record:
    """Rows by name, in the order in which they were begun.

    A row that is in the file already is not made again, so that a step that was started anew goes
    on after the row that ended it.

    :param path: JSON file with a list of rows; need not exist
    :param seconds: after which no further row is begun
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self.path = path
        self._end = time.monotonic() + seconds
        self.rows: list[Row] = json.loads(path.read_text()) if path.exists() else []
        self._earlier = {row["name"]: row for row in self.rows}

    @property
    def seconds_left(self) -> float:
        """Time in which rows may be begun."""
        return self._end - time.monotonic()

    def row(
        self, name: str, work: Callable[[], Mapping[str, Any]], seconds: float | None = None
    ) -> Row | None:
        """Do the work of one row and record what it returns, or why it failed.

        :param work: returns numbers and words by name; raises `NotMetError` where they are wrong
        :param seconds: after which the row is given up
        :return: the row, if it has passed
        :raises CudaLostError: if CUDA is of no use any more in this process
        """
        if name in self._earlier:
            row = self._earlier[name]
            return row if row["status"] == PASSED else None
        row = {"name": name, "status": RUNNING}
        self.rows.append(row)
        if self.seconds_left < 0:
            row["status"] = NO_TIME
            self._write()
            return None
        self._write()
        started = time.perf_counter()
        lost = self._fill(row, work, seconds)
        row["seconds"] = round(time.perf_counter() - started, 3)
        self._write()
        if lost:
            raise CudaLostError(row["sentence"])
        return row if row["status"] == PASSED else None

    def _fill(self, row: Row, work: Callable[[], Mapping[str, Any]], seconds: float | None) -> bool:
        """Do the work; True if CUDA is lost."""
        try:
            with time_limit(seconds):
                row.update(work())
            row["status"] = PASSED
        except NotRehearsedError as reason:
            row.update(status=NOT_REHEARSED, sentence=str(reason))
        except NotMetError as error:
            row.update(error.numbers)
            row.update(status=FAILED, sentence=str(error))
        except (Exception, SystemExit) as error:
            row.update(status=FAILED, sentence=sentence_of(error))
            return _ends_cuda(error)
        return False

    def _write(self) -> None:
        partial = self.path.with_name(self.path.name + ".part")
        partial.write_text(json.dumps(self.rows, indent=1, default=float))
        partial.replace(self.path)


def sentence_of(error: BaseException) -> str:
    """Type and message of an error in one line."""
    text = " ".join(str(error).split())
    if len(text) > _LONGEST_SENTENCE:
        half = _LONGEST_SENTENCE // 2
        text = f"{text[:half]} ... {text[-half:]}"
    return f"{type(error).__name__}: {text}"


def _ends_cuda(error: BaseException) -> bool:
    """Whether an error of a kernel has left the CUDA context unusable."""
    text = str(error)
    return "CUDA error" in text and "out of memory" not in text


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Context that raises TimeoutError after some seconds; None: never. Main thread only."""
    if seconds is None:
        yield
        return

    def give_up(*_: object) -> None:
        raise TimeoutError(f"given up after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
