"""Structures and models of the GPU benchmark. Needs neither LAMMPS nor files from elsewhere."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.io.lammpsdata import read_lammps_data
from record import NotRehearsedError

from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import Checkpoint, load_checkpoint, random_checkpoint
from pet_driver.frames import NAMED_CONSTANTS
from pet_driver.model import ForeignHyperparameters, Hyperparameters

ROOT = Path(__file__).resolve().parent.parent.parent
DATA = ROOT / "lammps_examples" / "water_nvt" / "water.data"
# 216 molecules, by make_water_box.thermal_water(6, 5.0).
BOX_648 = Path(__file__).with_name("water_648.xyz")

# Options of a potential by the names that the tables have.
PRECISIONS: dict[str, dict[str, Any]] = {
    "float64": {"dtype": "float64"},
    "float32": {"dtype": "float32"},
    "tf32": {"dtype": "float32", "precision": "tf32"},
}
SHAPES = ("water", "XS", "S")
# Of uPET: 2 layers of width 128 within 7.5 angstrom and about 8 neighbors; 3 of width 256 within
# 8 angstrom and about 16. Nodes are four times, feed-forward layers twice as wide.
_XS = Hyperparameters(
    species=(1, 6, 7, 8),
    cutoff=7.5,
    cutoff_width=0.5,
    width=128,
    node_width=512,
    feedforward_width=256,
    head_width=128,
    heads=8,
    message_layers=2,
    foreign=ForeignHyperparameters(
        adaptive_neighbors=8.0,
        neighbor_species=True,
        final_norm=False,
        combination_normalization="rms",
        final_combination=True,
    ),
    frames=NAMED_CONSTANTS["speed"],
)
_UPET = {
    "XS": _XS,
    "S": replace(
        _XS,
        cutoff=8.0,
        width=256,
        node_width=1024,
        feedforward_width=512,
        head_width=256,
        message_layers=3,
        foreign=replace(_XS.foreign, adaptive_neighbors=16.0),
    ),
}


@cache
def checkpoint(shape: str) -> Checkpoint:
    """The shipped model `water`, or random weights of the shape of uPET's XS or S."""
    return load_checkpoint("water") if shape == "water" else random_checkpoint(_UPET[shape])


def potential(shape: str, precision: str, device: str, **options: Any) -> Potential:  # noqa: ANN401
    """Potential of a model.

    :param shape: one of `SHAPES`
    :param precision: a key of `PRECISIONS`
    :param options: others of `EvaluationOptions`
    """
    check_precision(precision, device)
    return Potential(checkpoint(shape), device=device, **PRECISIONS[precision], **options)


def check_precision(precision: str, device: str) -> None:
    """Check that a device has a precision.

    :raises NotRehearsedError: for tf32 on a CPU
    """
    if precision == "tf32" and device == "cpu":
        raise NotRehearsedError("tf32 is of GPUs only")


def water(n_atoms: int) -> Atoms:
    """Liquid water; 24 atoms: a drop of 8 molecules.

    :param n_atoms: 24, 192, or 648 times a power of 2 (20,736 stands for 20,000)
    """
    if n_atoms == 24:
        return _drop(8)
    if n_atoms == 192:
        read = read_lammps_data(DATA, units="metal", atom_style="atomic")
        return Atoms(read.numbers, read.positions, cell=read.cell, pbc=True)
    repeats = [1, 1, 1]
    while 648 * int(np.prod(repeats)) < n_atoms:
        repeats[int(np.argmin(repeats))] *= 2
    box = ase.io.read(BOX_648, parallel=False)
    assert isinstance(box, Atoms)
    return box.repeat(repeats)


def _drop(molecules: int) -> Atoms:
    """The molecules nearest to the middle of the box of 192 atoms."""
    box = water(192)
    centred = box.positions - 0.5 * box.cell.lengths()
    nearest = np.argsort(np.linalg.norm(centred[::3], axis=1))[:molecules]
    chosen = (3 * nearest[:, None] + np.arange(3)).ravel()
    # Not periodic, but i-PI wants a cell.
    return Atoms("OHH" * molecules, box.positions[chosen], cell=box.cell, pbc=False)


def moved(atoms: Atoms, step: int, amount: float = 0.02) -> Atoms:
    """Copy with displacements, angstrom, that differ in every step and keep a neighbor list."""
    copy: Atoms = atoms.copy()
    noise = np.random.default_rng(step).uniform(-amount, amount, (len(atoms), 3))
    copy.positions = atoms.positions + noise
    return copy
