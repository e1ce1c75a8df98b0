"""Run an example of `lammps_examples`, or another script, in LAMMPS."""

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
    return run_script(ROOT / "lammps_examples" / name / "in.lmp", folder, variables)


def run_script(
    script: Path, folder: Path, variables: dict[str, str | int | float]
) -> dict[str, np.ndarray | float]:
    """Run a script of LAMMPS on two ranks in `folder`, which is made; see `run_example`."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [BIN / "mpiexec", "-n", "2", BIN / "pet-lmp", "-in", script.resolve()]
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
