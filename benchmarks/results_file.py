"""Write results of benchmarks as JSON files: date, version, hardware; standard library only."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "results"


def write_results(
    name: str, results: Mapping[str, object], hardware: bool = True, folder: Path = RESULTS
) -> Path:
    """Write ``results/NAME.json``, or ``NAME.json`` into another folder; replaces an older file.

    :param name: of the file, without its ending
    :param results: content that `json` can write; keys ``date``, ``version`` and ``hardware`` are
        added
    :param hardware: whether the machine is described; False for results that do not depend on it
    :return: path of the file
    """
    content: dict[str, object] = {"date": datetime.date.today().isoformat(), "version": version()}
    if hardware:
        content["hardware"] = describe_hardware()
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({**content, **results}, indent=1) + "\n")
    return path


def version() -> str:
    """Version of this package, with the commit where there is one."""
    try:
        number = importlib.metadata.version("pet-driver")
    except importlib.metadata.PackageNotFoundError:
        number = "unknown"
    command = ["git", "-C", str(RESULTS.parent), "rev-parse", "--short", "HEAD"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return number
    return f"{number}, commit {commit}"


def describe_hardware() -> dict[str, str | int]:
    """Model of the CPU, number of cores that this process may use, versions of Python and torch."""
    return {
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "python": platform.python_version(),
        "torch": importlib.metadata.version("torch"),
    }


def usable_cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores()


def cores() -> int:
    """Number of cores of the machine, 1 if it is unknown."""
    return os.cpu_count() or 1


def cpu_model() -> str:
    """Model of the CPU as Linux reports it; elsewhere the processor's architecture."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()
