"""Processes that make one timed step each in turn, so that all feel the same load of the machine.

The parent makes a `Stepper` for each process; the process calls `Turns.next` before each step.
Imports the standard library only, because processes run in environments of other programs.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

_TIMED = "TIMED"


class Stepper:
    """A running process that makes a step when it is told to.

    :param what: it is, for messages
    :param log: file that receives what the process writes to standard error
    """

    def __init__(
        self, what: str, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.what, self.log = what, log
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                list(command),
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def step(self) -> tuple[float, float]:
        """Make one step; seconds and CPU seconds."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self.fail()
        for line in self.process.stdout:
            if line.startswith(_TIMED):
                wall, cpu = map(float, line.split()[1:3])
                return wall, cpu
        return self.fail()

    def fail(self) -> NoReturn:
        """End the benchmark with what the process has printed."""
        self.process.wait()
        sys.exit(f"{self.what} failed:\n{self.log.read_text()[-3000:]}")

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


class Turns:
    """Waits for a line of standard input before each step, and prints how long the step took."""

    def __init__(self) -> None:
        self.started: tuple[float, float] | None = None

    def next(self) -> None:
        """End a step and begin the next one; end the process when standard input is closed."""
        if self.started is not None:
            elapsed = time.perf_counter() - self.started[0], time.process_time() - self.started[1]
            print(_TIMED, *elapsed, flush=True)
        if not sys.stdin.readline():
            sys.exit()
        self.started = time.perf_counter(), time.process_time()
