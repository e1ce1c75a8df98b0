"""ASE calculator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes, all_properties
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress

from ..errors import PetDriverError
from ..evaluation.potential import Potential
from ..evaluation.prediction import Prediction
from ..graph import CHARGE_AND_SPIN_KEYS
from ..model import RESERVED_NAMES
from .given_model import open_potential

Results = dict[str, float | npt.NDArray[np.float64]]


class PETCalculator(Calculator):
    """ASE calculator of a PET model.

    Gives the energy (eV), forces (eV/angstrom), energies of atoms (eV) and, for structures periodic
    in three directions, the stress (eV/angstrom^3, Voigt order); the dipole and other covariant
    outputs under their names, where the model has them. Vectors and tensors of atoms are in
    ``results`` under the name with ``atomic_`` before it, their sums under the name itself.

    :param model: name of a shipped model, path of a model file, or a loaded `Potential`, which has
        its options already, so that None means these
    :param device: "cpu", "cuda" or "cuda:N"; None: the CPU
    :param dtype: "float32" or "float64", of the network; None: float32
    :param scope: "layer", "atom", "structure", "none", or None for the scope of training
    :param default_dtype: another name of dtype, which other calculators have
    :param options: the other ones of `EvaluationOptions`, by name
    :raises PetDriverError: if the model or the device is not there, an option is wrong, both dtype
        and default_dtype are given and differ, or a loaded potential has other options than given
    """

    implemented_properties: list[str] = [  # noqa: RUF012 (each calculator has its own below)
        "energy",
        "free_energy",
        "energies",
        "forces",
        "stress",
    ]

    def __init__(
        self,
        model: str | Path | Potential,
        device: str | None = None,
        dtype: str | None = None,
        scope: str | None = None,
        default_dtype: str | None = None,
        **options: object,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # ASE's
        if None not in (dtype, default_dtype) and dtype != default_dtype:
            raise PetDriverError(
                f"dtype is {dtype!r} and default_dtype is {default_dtype!r}, two names of one "
                "option; give one of them"
            )
        dtype = dtype or default_dtype
        self.potential = open_potential(model, device=device, dtype=dtype, scope=scope, **options)
        names = PETCalculator.implemented_properties
        self.implemented_properties = [*names, *self.potential.outputs]

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What has changed since the last calculation, charge and spin in ``info`` included.

        :param tol: largest change of a number that counts as none
        """
        changes: list[str] = super().check_state(atoms, tol)  # type: ignore[no-untyped-call]  # ASE's
        before = self.atoms.info if self.atoms is not None else {}
        if self.potential.hyper.foreign.largest_spin and any(
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
        """Evaluate a structure; all properties are always calculated.

        :raises PetDriverError: see `Potential.compute`
        """
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]  # ASE's
        assert self.atoms is not None  # after that call
        self.results = results(self.atoms, self.potential.compute(self.atoms))


def results(atoms: Atoms, prediction: Prediction) -> Results:
    """Prediction under ASE's names; the stress only where the volume is defined.

    :return: energies in eV, lengths in angstrom; the stress in Voigt order, eV/angstrom^3
    """
    found: Results = {
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
    copy: Atoms = atoms.copy()
    found = results(atoms, prediction)
    del found["free_energy"]
    for key in {*found, *RESERVED_NAMES}:  # of other calculations too
        copy.info.pop(key, None)
        copy.arrays.pop(key, None)
    # SinglePointCalculator takes ASE's own properties only.
    for key in set(found) - set(all_properties):
        values = found.pop(key)
        if key.startswith("atomic_"):
            copy.arrays[key] = np.reshape(values, (len(copy), -1))
        else:
            copy.info[key] = values
    copy.calc = SinglePointCalculator(copy, **found)
    return copy


def reading_error(error: Exception) -> str:
    """Message of an error of ASE's readers, on one line."""
    message = " ".join(str(error).split())
    # An element that does not exist is the key of a failed look-up.
    return f"{message} is unknown" if isinstance(error, KeyError) else message
