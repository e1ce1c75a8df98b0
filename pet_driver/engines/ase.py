"""ASE calculator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes, all_properties
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress

from ..evaluation.potential import Potential, load_model
from ..evaluation.prediction import Prediction
from ..graph import CHARGE_AND_SPIN_KEYS


class PETCalculator(Calculator):
    """Energy, forces, stress (of structures periodic in three directions) and per-atom energies;
    the dipole and other covariant outputs under their names, where the model has them.

    Vectors and tensors of atoms are in ``results`` under the name with ``atomic_`` before it, their
    sums under the name itself.

    :param model: name of a shipped model, path of a model file, or a loaded `Potential`
    :param options: device, dtype, scope, extra_rotations, parity, charge, spin as in `load_model`
    """

    implemented_properties: list[str] = [  # noqa: RUF012 (each calculator has its own below)
        "energy",
        "free_energy",
        "energies",
        "forces",
        "stress",
    ]

    def __init__(self, model: str | Path | Potential, **options: Any) -> None:  # noqa: ANN401 (passed on)
        super().__init__()
        self.potential = model if isinstance(model, Potential) else load_model(model, **options)
        names = [name for name, _ in self.potential.hyper.properties]
        self.implemented_properties = [*PETCalculator.implemented_properties, *names]

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What has changed; charge and spin too, which ASE does not look at."""
        changes = super().check_state(atoms, tol)
        before = self.atoms.info if self.atoms is not None else {}
        if self.potential.hyper.largest_spin and any(
            before.get(key) != atoms.info.get(key) for key in CHARGE_AND_SPIN_KEYS
        ):
            changes.append("initial_charges")
        return changes

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        self.results = results(self.atoms, self.potential.compute(self.atoms))


def results(atoms: Atoms, prediction: Prediction) -> dict[str, float | np.ndarray]:
    """A prediction under ASE's names; the stress only where the volume is defined."""
    found = {
        "energy": prediction.energy,
        "free_energy": prediction.energy,
        "energies": prediction.energies,
        "forces": prediction.forces,
    }
    for name, values in {**prediction.vectors, **prediction.tensors}.items():
        found[name] = values.sum(axis=0)
        found[f"atomic_{name}"] = values
    if prediction.uncertainty is not None:
        found["energy_uncertainty"] = prediction.uncertainty
    if atoms.pbc.all():
        found["stress"] = full_3x3_to_voigt_6_stress(prediction.stress(atoms.get_volume()))
    return found


def attach_results(atoms: Atoms, prediction: Prediction) -> Atoms:
    """Copy of the structure that carries the prediction, as `ase.io.write` expects it."""
    copy = atoms.copy()
    found = results(atoms, prediction)
    del found["free_energy"]
    for key in found:
        copy.info.pop(key, None)
        copy.arrays.pop(key, None)
    # ASE's container knows the dipole, but not outputs by names of ours.
    for key in set(found) - set(all_properties):
        values = found.pop(key)
        if key.startswith("atomic_"):
            copy.arrays[key] = values.reshape(len(copy), -1)
        else:
            copy.info[key] = values
    copy.calc = SinglePointCalculator(copy, **found)
    return copy
