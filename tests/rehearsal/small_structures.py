"""Structures for the rehearsal, small as every operation takes the time of many."""

from __future__ import annotations

import numpy as np
from ase import Atoms

_WATER = np.array([[0.0, 0.0, 0.0], [0.76, 0.59, 0.0], [-0.76, 0.59, 0.0]])
_CARBON_MONOXIDE = np.array([[0.0, 0.0, 0.0], [1.13, 0.0, 0.0]])


def chain() -> Atoms:
    """Three molecules, periodic in one direction: few ghosts, and images of the same atom."""
    rng = np.random.default_rng(3)
    positions = []
    for k, sites in enumerate((_WATER, _WATER, _CARBON_MONOXIDE)):
        axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        positions.append(sites @ axes.T + [2.4 * k, 0.3 * k, 0.0])
    cell = np.diag([7.2, 20.0, 20.0])
    return Atoms("OHHOHHCO", np.concatenate(positions), cell=cell, pbc=(True, False, False))


def unrolled(atoms: Atoms, depth: float) -> tuple[np.ndarray, np.ndarray]:
    """Ids and positions of the atoms, and then of their ghosts, as an engine hands them out."""
    n, most = len(atoms), int(depth // atoms.cell.lengths()[atoms.pbc].min()) + 1
    ranges = [range(-most, most + 1) if periodic else (0,) for periodic in atoms.pbc]
    shifts = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    shifts = shifts[np.abs(shifts).any(axis=1)]
    ghosts = (atoms.positions[None] + (shifts @ atoms.cell.array)[:, None]).reshape(-1, 3)
    apart = np.linalg.norm(ghosts[:, None] - atoms.positions[None], axis=2)
    in_halo = apart.min(axis=1, initial=np.inf) < depth
    ids = np.concatenate([np.arange(n), np.tile(np.arange(n), len(shifts))[in_halo]])
    return ids, np.concatenate([atoms.positions, ghosts[in_halo]])


def shaken(atoms: Atoms, seed: int = 1, size: float = 0.02) -> Atoms:
    """The same atoms, displaced at random by a few hundredths of an angstrom."""
    moved = atoms.copy()
    moved.positions += np.random.default_rng(seed).normal(scale=size, size=moved.positions.shape)
    return moved
