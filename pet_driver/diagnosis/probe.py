"""Trying things in a process of its own: what crashes or hangs there does no harm here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

_SECONDS = 120


def try_python(code: str, launcher: Sequence[str] = ()) -> tuple[str, str]:
    """Run a piece of Python, perhaps on several ranks.

    :param code: what to run
    :param launcher: words before the command, such as ``mpiexec -n 2``
    :return: what it printed, and why it failed: one line, empty if it did not
    """
    words = [*launcher, sys.executable, "-c", code]
    try:
        result = subprocess.run(words, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        return "", f"no end after {_SECONDS} s"
    except OSError as error:
        return "", str(error)
    if result.returncode == 0:
        return result.stdout.strip(), ""
    lines = [line for line in result.stderr.splitlines() if line.strip(" -")]
    return "", lines[-1].strip() if lines else f"exit code {result.returncode}"
