"""Run an example of `lammps_examples`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from trajectories import read_thermo

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


def run_example(
    name: str, folder: Path, variables: dict[str, str | int | float]
) -> dict[str, np.ndarray | float]:
    """Run an example on two ranks in `folder` and print its output; returns the thermo columns.

    :param name: name of the example's folder
    :param variables: variables of its script
    """
    folder.mkdir(parents=True, exist_ok=True)
    script = ROOT / "lammps_examples" / name / "in.lmp"
    command = [BIN / "mpiexec", "-n", "2", BIN / "pet-lmp", "-in", script]
    for key, value in variables.items():
        command += ["-var", key, value]
    lines = []
    with subprocess.Popen(
        [str(word) for word in command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout:
            lines.append(line)
            if re.match(r"\s*(Step|\d+)\s|pair_style pet|pet-lmp|Loop", line):
                print(line.rstrip(), flush=True)
    if process.returncode:
        sys.exit(f"pet-lmp ended with code {process.returncode}:\n{''.join(lines[-20:])}")
    return read_thermo("".join(lines))
