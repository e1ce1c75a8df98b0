"""How much a rotation of the structure changes what a potential says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms

from pet_driver import Potential


@dataclass
class RotationErrors:
    """Largest changes over the rotations: energy in eV/atom, forces in eV/angstrom, both also
    relative to the energy and to the largest force."""

    energy: float
    forces: float
    relative_energy: float
    relative_forces: float


def random_rotations(count: int, seed: int = 0) -> np.ndarray:
    """(count, 3, 3) rotations, uniform over SO(3)."""
    axes, triangle = np.linalg.qr(np.random.default_rng(seed).normal(size=(count, 3, 3)))
    axes = axes * np.sign(np.diagonal(triangle, axis1=1, axis2=2))[:, None, :]
    return axes * np.linalg.det(axes)[:, None, None]


def rotated(atoms: Atoms, rotation: np.ndarray) -> Atoms:
    copy = atoms.copy()
    copy.set_cell(atoms.cell.array @ rotation.T)
    copy.positions = atoms.positions @ rotation.T
    return copy


def rotation_errors(potential: Potential, atoms: Atoms, count: int) -> RotationErrors:
    """Compare the structure with `count` rotated copies of it."""
    still = potential.compute(atoms)
    energy = forces = 0.0
    for rotation in random_rotations(count):
        turned = potential.compute(rotated(atoms, rotation))
        energy = max(energy, abs(turned.energy - still.energy))
        forces = max(forces, np.abs(turned.forces @ rotation - still.forces).max())
    return RotationErrors(
        energy / len(atoms),
        float(forces),
        energy / abs(still.energy),
        float(forces / np.abs(still.forces).max()),
    )
