"""Structures and models that many tests share. Models have random weights: errors show most."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from ase import Atoms
from ase.io.lammpsdata import read_lammps_data

from helpers import CONTRAST, MODERN, PAPER, ROOT
from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import Checkpoint, random_checkpoint, save_checkpoint


@pytest.fixture(scope="session")
def checkpoint() -> Checkpoint:
    return random_checkpoint(MODERN)


@pytest.fixture(
    scope="session", params=[MODERN, PAPER, CONTRAST], ids=["modern", "paper", "contrast"]
)
def any_checkpoint(request) -> Checkpoint:
    return random_checkpoint(request.param)


@pytest.fixture(scope="session")
def potential(checkpoint) -> Potential:
    return Potential(checkpoint, dtype="float64")


@pytest.fixture(scope="session")
def model_file(checkpoint, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("models") / "random.safetensors"
    save_checkpoint(checkpoint, path)
    return path


@pytest.fixture(scope="session")
def water_box() -> Atoms:
    """64 molecules of liquid water in a periodic box."""
    path = ROOT / "lammps_examples" / "water_nvt" / "water.data"
    atoms = read_lammps_data(path, units="metal", atom_style="atomic")
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)


@pytest.fixture
def small_box() -> Atoms:
    """Eight molecules in a triclinic box smaller than twice the cutoff."""
    rng = np.random.default_rng(5)
    cell = np.array([[6.3, 0.0, 0.0], [0.9, 6.1, 0.0], [-0.6, 0.7, 6.4]])
    water = np.array([[0.0, 0.0, 0.0], [0.76, 0.59, 0.0], [-0.76, 0.59, 0.0]])
    positions = []
    for corner in np.ndindex(2, 2, 2):
        axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        positions.append((np.array(corner) + 0.25) / 2 @ cell + water @ axes.T)
    return Atoms("OHH" * 8, np.concatenate(positions), cell=cell, pbc=True)


@pytest.fixture
def molecule() -> Atoms:
    """One bent water molecule, free."""
    return Atoms("OHH", [[0.0, 0.0, 0.0], [0.80, 0.55, 0.1], [-0.74, 0.61, 0.0]])
