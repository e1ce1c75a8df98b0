"""The process of a step: started, ended when its time is over, started anew after a crash."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from settings import Settings

CHILD = Path(__file__).with_name("step.py")
_MOST_STARTS = 6
_MARGIN = 0.15  # of the time of a step, for the row that is under way when no other may begin
_GRACE = 5.0  # seconds between SIGTERM and SIGKILL
_LOST, _BROKEN, _TIME_OUT = 3, 4, None  # exit codes, see step.py

Rows = list[dict[str, Any]]


def run_step(
    module: str, settings: Settings, seconds: float, scratch: Path, environment: dict[str, str]
) -> dict[str, Any]:
    """Run a step until it has ended or its time is over.

    A process that crashes, or in which CUDA is lost, is followed by another, which goes on after
    the row that ended it.

    :param module: file of the step
    :param seconds: after which the process is ended
    :param scratch: folder for its rows and messages
    :return: status, sentence, rows
    """
    path, end = scratch / "rows.json", time.monotonic() + seconds
    for _ in range(_MOST_STARTS):
        left = max(end - time.monotonic(), 1.0)
        asked = replace(settings, seconds=(1.0 - _MARGIN) * left)
        command = [sys.executable, str(CHILD), module, str(path), asked.to_json()]
        code, message = call(command, left, scratch, environment)
        rows: Rows = json.loads(path.read_text()) if path.exists() else []
        interrupted = [row for row in rows if row["status"] == "running"]
        for row in interrupted:
            row.update(status="failed", sentence=ending(code, seconds, message))
        path.write_text(json.dumps(rows))
        crashed = code not in (0, 1, _BROKEN, _TIME_OUT)
        if not crashed or not (interrupted or code == _LOST):
            break
    return summary(rows, code, ending(code, seconds, message))


def call(
    command: list[str], seconds: float, scratch: Path, environment: dict[str, str]
) -> tuple[int | None, str]:
    """Run a command in a session of its own, and end all of it when its time is over.

    :return: exit code, None: it was ended; last line of its standard error
    """
    log = scratch / "errors.txt"
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, env=environment, stdout=errors, stderr=errors, start_new_session=True
        )
        try:
            code: int | None = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            end_session(process)
    lines = log.read_text(errors="replace").splitlines()
    said = [line.strip() for line in lines if line.strip()]
    return code, said[-1][:400] if said else ""


def end_session(process: subprocess.Popen[bytes]) -> None:
    """End a process and those it has started and left behind."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_GRACE)
            if sign == signal.SIGKILL:
                return
        if not _alive(process.pid):
            return


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    time.sleep(0.2)
    return True


def ending(code: int | None, seconds: float, message: str) -> str:
    """How a process has ended, in a sentence."""
    if code is None:
        return f"the time of the step ({seconds:.0f} s) was over"
    said = f": {message}" if message else ""
    if code < 0:
        return f"the process was ended by {_signal_name(-code)}{said}"
    return f"the process ended with code {code}{said}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def summary(rows: Rows, code: int | None, end: str) -> dict[str, Any]:
    """Status of a step from those of its rows."""
    statuses = [row["status"] for row in rows]
    failed = [row for row in rows if row["status"] == "failed"]
    found: dict[str, Any] = {"status": "passed", "rows": rows}
    if failed:
        found["status"] = "failed"
        found["sentence"] = f"{len(failed)} of {len(rows)} rows failed; first: {failed[0]['name']}"
    elif code not in (0, 1):
        found.update(status="failed", sentence=end)
    elif not rows:
        found.update(status="failed", sentence=f"it recorded nothing; {end}")
    elif set(statuses) == {"not rehearsed"}:
        found.update(status="not rehearsed", sentence=rows[0]["sentence"])
    elif set(statuses) == {"no time"}:
        found.update(status="no time", sentence="no row was begun; give more --minutes")
    elif "no time" in statuses:
        left = statuses.count("no time")
        found["sentence"] = f"{left} of {len(rows)} rows were left out for want of time"
    return found
