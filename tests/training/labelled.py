"""Structures whose labels a formula gives, and options to train on them."""

from __future__ import annotations

import ase
import ase.io
import numpy as np

OPTIONS = {
    "name": "tiny",
    "data": {"file": "data.xyz", "validation": 3, "test": 3},
    "model": {
        "cutoff": 3.5,
        "width": 16,
        "node_width": 16,
        "feedforward_width": 16,
        "head_width": 16,
        "heads": 2,
        "radial_waves": 8,
        "normalization": "layer",
    },
    "fit": {"steps": 60, "learning_rate": "1e-2", "warmup_steps": 5, "ema_decay": 0.8},
}
_REST = np.array([[0.0, 0.0, 0.0], [0.76, 0.59, 0.0], [-0.76, 0.59, 0.0]])


def molecules(count: int, seed: int = 0, charge: float = 0.4) -> list[ase.Atoms]:
    """Stretched water molecules in random orientations, labelled with a spring in each bond and the
    dipole of point charges.
    """
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        positions = (_REST + 0.08 * rng.normal(size=_REST.shape)) @ turn.T
        atoms = ase.Atoms("OHH", positions)
        forces = np.zeros((3, 3))
        energy = -10.0
        for h in (1, 2):
            bond = positions[h] - positions[0]
            length = np.linalg.norm(bond)
            energy += 15.0 * (length - 0.96) ** 2
            pull = -30.0 * (length - 0.96) * bond / length
            forces[h] += pull
            forces[0] -= pull
        atoms.info["energy"], atoms.arrays["forces"] = energy, forces
        atoms.info["mu"] = charge * (positions[1] + positions[2] - 2.0 * positions[0])
        frames.append(atoms)
    return frames


def crystals(count: int, seed: int = 0) -> list[ase.Atoms]:
    """Strained and rattled fcc argon with a Lennard-Jones potential, stress included."""
    from ase.build import bulk
    from ase.calculators.lj import LennardJones

    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        atoms = bulk("Ar", "fcc", a=5.26, cubic=True)
        strain = 0.03 * rng.normal(size=(3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.5 * (strain + strain.T)), scale_atoms=True)
        atoms.rattle(0.1, rng=rng)
        atoms.calc = LennardJones(sigma=3.4, epsilon=0.2, rc=6.0, smooth=True)
        labels = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(voigt=False)
        atoms.calc = None
        atoms.info["E"], atoms.arrays["F"], atoms.info["S"] = labels
        frames.append(atoms)
    return frames
