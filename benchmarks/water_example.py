"""Running the LAMMPS water example, and judging what came out."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from trajectories import read_thermo

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
N_ATOMS = 192
NANOSECONDS_PER_STEP = 0.5e-6


def run_lammps(
    folder: Path,
    ensemble: str,
    steps: int,
    dtype: str,
    every: int = 10,
    data: Path | None = None,
) -> dict[str, np.ndarray | float]:
    """Run the example on two ranks, with its output passing by; returns the thermo columns.

    :param folder: receives the trajectory, a frame of which is written `every` so many steps, and
        the last positions in ``final.data``
    :param data: where to start; None: the structure of the example
    """
    folder.mkdir(parents=True, exist_ok=True)
    script = ROOT / "lammps_examples" / "water_nvt" / "in.lmp"
    command = [BIN / "mpiexec", "-n", "2", BIN / "pet-lmp", "-in", script]
    command += ["-var", "steps", str(steps), "-var", "dtype", dtype, "-var", "ensemble", ensemble]
    command += ["-var", "every", str(every)]
    if data is not None:
        command += ["-var", "data", str(data.resolve())]
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


def molecules_are_whole(atoms: Atoms) -> bool:
    distances = atoms.get_all_distances(mic=True)
    bonds = distances[np.ix_(atoms.numbers == 8, atoms.numbers == 1)] < 1.4
    return bool((bonds.sum(1) == 2).all())


def drift_per_ns(thermo: dict[str, np.ndarray | float]) -> float:
    """Slope of the total energy, meV/atom/ns."""
    nanoseconds = thermo["Step"] * NANOSECONDS_PER_STEP
    return 1e3 * float(np.polyfit(nanoseconds, thermo["TotEng"], 1)[0]) / N_ATOMS
