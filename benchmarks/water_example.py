"""Run the LAMMPS water example, and check its results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms
from lammps_example import run_example

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
    """Run the example on two ranks and print its output; returns the thermo columns.

    :param folder: receives the trajectory and the last positions, in ``final.data``
    :param every: steps between frames of the trajectory
    :param data: starting structure; None: the structure of the example
    """
    variables = {"steps": steps, "dtype": dtype, "ensemble": ensemble, "every": every}
    if data is not None:
        variables["data"] = data.resolve()
    return run_example("water_nvt", folder, variables)


def molecules_are_whole(atoms: Atoms) -> bool:
    """Whether each O is the nearest O of exactly two H, and no bond is longer than 1.4 Å.

    A hydrogen bond may be that short for a moment.
    """
    distances = atoms.get_all_distances(mic=True)[np.ix_(atoms.numbers == 1, atoms.numbers == 8)]
    hydrogens = np.bincount(distances.argmin(1), minlength=distances.shape[1])
    return bool((hydrogens == 2).all() and distances.min(1).max() < 1.4)


def drift_per_ns(thermo: dict[str, np.ndarray | float]) -> float:
    """Slope of the total energy, meV/atom/ns."""
    nanoseconds = thermo["Step"] * NANOSECONDS_PER_STEP
    return 1e3 * float(np.polyfit(nanoseconds, thermo["TotEng"], 1)[0]) / N_ATOMS
