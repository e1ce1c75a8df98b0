"""Paths and models that tests name directly."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pet_driver.evaluation.rotation_error import rotated
from pet_driver.frames import NAMED_CONSTANTS, FrameConstants
from pet_driver.model import ForeignHyperparameters, Hyperparameters

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
# Where tests/lammps_build/install.sh puts the LAMMPS that it builds.
BUILT_LAMMPS = Path(
    os.environ.get("PET_LAMMPS")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pet-driver" / "lammps"
)

MODERN = Hyperparameters(
    species=(1, 6, 8),
    cutoff=3.5,
    width=16,
    node_width=24,
    feedforward_width=16,
    head_width=16,
    heads=2,
    radial_waves=4,
    # Gentle pruning, as in the shipped models: molecular dynamics must not fall over a tie.
    frames=FrameConstants(pruning_fraction=0.6, pruning_width=0.4, pruning_rounds=1),
)
# As MODERN, but only near neighbors are the first axis of a frame: the frames of the model `water`.
NEAREST = replace(
    MODERN,
    frames=FrameConstants(
        margin=0.8, axis_margin=0.5, pruning_fraction=0.3, pruning_width=0.7, pruning_rounds=1
    ),
)
# As MODERN, with contrast: near neighbors count more, so that few frames are left.
CONTRAST = replace(MODERN, frames=NAMED_CONSTANTS["speed"])
GENTLE_CONTRAST = replace(MODERN, frames=NAMED_CONSTANTS["accuracy"])
PAPER = Hyperparameters(
    species=(1, 6, 8),
    cutoff=3.5,
    cutoff_width=0.5,
    cutoff_function="cosine",
    block="paper",
    width=16,
    node_width=16,
    feedforward_width=32,
    head_width=16,
    heads=2,
    attention_layers=2,
    normalization="layer",
    activation="silu",
    order="post",
)
# What others' models have besides: a cutoff for each atom, messages once more after the last layer,
# the repulsion of nuclei, charge and spin.
FOREIGN = replace(
    MODERN,
    cutoff=4.5,
    radial_waves=0,
    foreign=ForeignHyperparameters(
        adaptive_neighbors=6.0,
        final_combination=True,
        zbl_radii=(0.31, 0.76, 0.66),
        largest_charge=2,
        largest_spin=3,
    ),
)
# The same with the older way to adapt cutoffs, and a repulsion that reaches beyond the cutoff.
FOREIGN_PAPER = replace(
    PAPER,
    cutoff_function="bump",
    foreign=ForeignHyperparameters(
        adaptive_neighbors=5.0,
        adaptive_method="grid",
        zbl_radii=(1.0, 1.5, 2.0),
        neighbor_species=True,
    ),
)


def program(name: str) -> str:
    """Path of a program of this environment; skips the test where it is not installed."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        pytest.skip(f"{name} is not installed in this environment")
    return str(path)


def environment() -> dict[str, str]:
    """For programs run on the side: one thread each, as ranks of a small machine have."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def open_mpi() -> tuple[str, dict[str, str]]:
    """mpiexec of Open MPI and the environment for programs that it starts; skips without one."""
    path = shutil.which("mpiexec.openmpi")
    if path is None:
        pytest.skip("no Open MPI; tests/lammps_build/install_debian.sh installs Debian's")
    # Ranks may outnumber the cores, and containers run as root.
    changes = {
        "MPI4PY_MPIABI": "openmpi",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    }
    return path, {**environment(), **changes}


def worst_change(potential, atoms, rotations):
    """Largest relative change of energy, forces and virial under rotation."""
    still = potential.compute(atoms)
    turned = potential.compute([rotated(atoms, r) for r in rotations])
    norms = abs(still.energy), np.abs(still.forces).max(), np.abs(still.virial).max()
    changes = [
        (
            abs(t.energy - still.energy),
            np.abs(t.forces - still.forces @ r.T).max(),
            np.abs(t.virial - r @ still.virial @ r.T).max(),
        )
        for t, r in zip(turned, rotations, strict=True)
    ]
    return np.max(changes, axis=0) / np.maximum(norms, 1e-12)
