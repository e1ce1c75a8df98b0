"""Rotation error: how much energies and forces change as a structure is rotated."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from .potential import Potential


@dataclass(frozen=True)
class Orientations:
    """Results for one structure in several orientations.

    energies: (n_orientations,), eV; forces: (n_orientations, n_atoms, 3), rotated back,
    eV/angstrom; seconds: time of one evaluation, the median; evaluations: number of evaluations for
    each orientation.
    """

    energies: NDArray[np.float64]
    forces: NDArray[np.float64]
    seconds: float
    evaluations: int = 1

    def averaged(self, count: int) -> Orientations:
        """Results of the average over ``count`` random rotations, taken as a potential.

        The orientations are averaged in consecutive groups of ``count``.
        """
        groups = len(self.energies) // count
        used = slice(0, groups * count)
        return Orientations(
            self.energies[used].reshape(groups, count).mean(1),
            self.forces[used].reshape(groups, count, *self.forces.shape[1:]).mean(1),
            self.seconds * count,
            self.evaluations * count,
        )

    def energy_error(self) -> float:
        """Root-mean-square deviation from the mean, eV/atom."""
        return float(self.energies.std(ddof=1) / self.forces.shape[1])

    def force_error(self) -> float:
        """Root-mean-square deviation of a component from its mean, eV/angstrom."""
        return float(np.sqrt(self.forces.var(axis=0, ddof=1).mean()))

    def largest_changes(self) -> tuple[float, float]:
        """Largest change from the first orientation to another.

        :return: of the energy, eV, and of a component of a force, eV/angstrom
        """
        energy = np.abs(self.energies - self.energies[0]).max()
        return float(energy), float(np.abs(self.forces - self.forces[0]).max())


def in_orientations(
    potential: Potential,
    atoms: Atoms,
    rotations: NDArray[np.float64],
    advance: Callable[[], None] = lambda: None,
) -> Orientations:
    """Evaluate a structure in several orientations.

    :param rotations: (n_orientations, 3, 3)
    :param advance: called after each evaluation
    """
    energies, forces, seconds = [], [], []
    for rotation in rotations:
        turned = rotated(atoms, rotation)
        start = time.perf_counter()
        prediction = potential.compute(turned)
        seconds.append(time.perf_counter() - start)
        energies.append(prediction.energy)
        forces.append(prediction.forces @ rotation)
        advance()
    return Orientations(np.array(energies), np.array(forces), float(np.median(seconds)))


def random_rotations(count: int, seed: int = 0) -> NDArray[np.float64]:
    """Rotations, (count, 3, 3), uniform over SO(3)."""
    axes, triangle = np.linalg.qr(np.random.default_rng(seed).normal(size=(count, 3, 3)))
    axes = axes * np.sign(np.diagonal(triangle, axis1=1, axis2=2))[:, None, :]
    rotations: NDArray[np.float64] = axes * np.linalg.det(axes)[:, None, None]
    return rotations


def rotated(atoms: Atoms, rotation: NDArray[np.float64]) -> Atoms:
    """Copy of a structure with positions and cell rotated.

    :param rotation: (3, 3), orthogonal; reflections too
    """
    copy: Atoms = atoms.copy()
    copy.set_cell(atoms.cell.array @ rotation.T)
    copy.positions = atoms.positions @ rotation.T
    return copy
