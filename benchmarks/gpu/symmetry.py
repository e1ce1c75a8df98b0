"""Step (b), continued: rotations, forces by finite differences, equal evaluations."""

from __future__ import annotations

from functools import partial

import numpy as np
from agreement import baseline, largest
from ase import Atoms
from record import NotMetError, Record
from settings import Settings
from systems import PRECISIONS, checkpoint, moved, potential, water

from pet_driver.evaluation.options import OPTIONS
from pet_driver.evaluation.rotation_error import random_rotations, rotated

# Largest relative changes under rotation in the scope layer; of tf32 they are recorded only.
_LIMITS = {"float64": 1e-9, "float32": 1e-4}
_SHIFT = 1e-4  # angstrom, of the finite differences
_COMPONENTS = 6
_EQUAL = 5


def run(settings: Settings, record: Record) -> None:
    """All rows of the step."""
    atoms = water(24 if settings.quick else 192)
    for scope in ("layer", "none"):
        for precision in PRECISIONS:
            work = partial(rotations, settings, atoms, scope, precision)
            record.row(f"rotations, {scope}, {precision}", work)
    for shape in ("water",) if settings.quick else ("water", "XS"):
        work = partial(finite_differences, settings, atoms, shape)
        record.row(f"finite differences, {shape}, float64", work)
    choices = (False, True) if "deterministic" in OPTIONS else (None,)
    for precision in PRECISIONS:
        for deterministic in choices:
            word = "" if deterministic is None else f", deterministic {deterministic}"
            work = partial(equal, settings, atoms, precision, deterministic)
            record.row(f"{_EQUAL} equal evaluations, {precision}{word}", work)


def rotations(settings: Settings, atoms: Atoms, scope: str, precision: str) -> dict[str, float]:
    """Largest relative changes under 5 rotations."""
    model = potential("water", precision, settings.device, scope=scope)
    still = model.compute(atoms)
    turns = random_rotations(2 if settings.quick else 5, seed=4)
    found = [model.compute(rotated(atoms, turn)) for turn in turns]
    pairs = list(zip(found, turns, strict=True))
    zero = baseline(checkpoint("water"), atoms)
    numbers = {
        "energies": largest([(x.energies - zero, still.energies - zero) for x, _ in pairs]),
        "forces": largest([(x.forces @ turn, still.forces) for x, turn in pairs]),
        "virials": largest([(turn.T @ x.virial @ turn, still.virial) for x, turn in pairs]),
    }
    limit = _LIMITS.get(precision)
    if scope == "layer" and limit is not None and not max(numbers.values()) <= limit:
        raise NotMetError(f"a change is larger than {limit:.0e}", numbers)
    return numbers


def finite_differences(settings: Settings, atoms: Atoms, shape: str) -> dict[str, float]:
    """Forces beside central differences of energies, both on the card."""
    model = potential(shape, "float64", settings.device, scope="layer")
    forces = model.compute(atoms).forces
    rng = np.random.default_rng(3)
    errors = []
    for _ in range(2 if settings.quick else _COMPONENTS):
        atom, axis = rng.integers(len(atoms)), rng.integers(3)
        energies = []
        for sign in (1.0, -1.0):
            shifted = atoms.copy()
            shifted.positions[atom, axis] += sign * _SHIFT
            energies.append(model.compute(shifted).energies)
        slope = np.subtract(*energies).sum() / (2 * _SHIFT)
        errors.append(abs(forces[atom, axis] + slope))
    numbers = {"largest error, eV/A": max(errors), "largest force, eV/A": np.abs(forces).max()}
    if not numbers["largest error, eV/A"] <= 1e-5 * max(numbers["largest force, eV/A"], 1.0):
        raise NotMetError("forces are not the gradient of the energy", numbers)
    return numbers


def equal(
    settings: Settings, atoms: Atoms, precision: str, deterministic: bool | None
) -> dict[str, float]:
    """Spread of evaluations that differ in nothing, with another one before each."""
    options = {} if deterministic is None else {"deterministic": deterministic}
    model = potential("water", precision, settings.device, **options)
    found = []
    for k in range(_EQUAL):
        model.compute(moved(atoms, k))
        found.append(model.compute(atoms))
    energies = np.array([x.energy for x in found])
    forces = np.array([x.forces for x in found])
    numbers = {
        "energy spread, eV": float(np.ptp(energies)),
        "force spread, eV/A": float(np.ptp(forces, axis=0).max()),
    }
    if deterministic and any(numbers.values()):
        raise NotMetError("evaluations differ in spite of deterministic True", numbers)
    return numbers
