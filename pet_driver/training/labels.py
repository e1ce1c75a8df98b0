"""Labels of a frame of a data file, converted to eV and angstrom."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from ase import Atoms

from ..errors import PetDriverError
from . import units
from .options import DataOptions

_VOIGT = [[0, 5, 4], [5, 1, 3], [4, 3, 2]]


@dataclass
class Labels:
    """Reference values of one frame; None where there is no label.

    energy: eV; forces: (n_atoms, 3), eV/angstrom; stress: (3, 3), eV/angstrom^3, positive under
    tension; properties: (3,) or (3, 3) by name, in the units of the file; atom_energies:
    (n_atoms,), eV, which no reference method has, but another model.
    """

    energy: float | None
    forces: npt.NDArray[np.float64] | None
    stress: npt.NDArray[np.float64] | None = None
    properties: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    atom_energies: npt.NDArray[np.float64] | None = None

    @property
    def has_any(self) -> bool:
        """Whether there is any label."""
        listed = (self.energy, self.forces, self.stress, self.atom_energies)
        return bool(self.properties) or any(x is not None for x in listed)


def read_labels(
    atoms: Atoms, options: DataOptions, ranks: dict[str, int], index: int | str
) -> Labels:
    """Labels of a structure, found under the keys of the options.

    :param atoms: with positions in angstrom
    :param ranks: numbers of indices of the covariant outputs of the model, by name
    :param index: name of the frame in messages
    :raises PetDriverError: if a label that frames must have is missing, or a label has a wrong
        shape, is not a number or not finite
    """
    energy_unit = units.energy_unit(options.energy_unit)
    forces_unit = energy_unit / units.length_unit(options.length_unit)
    if options.forces_unit is not None:
        forces_unit = units.forces_unit(options.forces_unit)
    energy = _numbers(atoms, options.energy_key, "energy", options, index, [()])
    forces = _numbers(atoms, options.forces_key, "forces", options, index, [(len(atoms), 3)])
    properties = {}
    for name, key in options.property_keys.items():
        shape = (3,) * ranks[name]
        shapes = [shape, (1, *shape), (3 ** len(shape),)]
        value = _numbers(atoms, key, name, options, index, shapes)
        if value is not None:
            properties[name] = value.reshape(shape)
    return Labels(
        None if energy is None else float(energy) * energy_unit,
        None if forces is None else forces * forces_unit,
        _stress(atoms, options, index),
        properties,
    )


def _stress(atoms: Atoms, options: DataOptions, index: int | str) -> npt.NDArray[np.float64] | None:
    """Stress tensor, (3, 3), eV/angstrom^3, positive under tension."""
    if options.stress_key is None:
        return None
    value = _numbers(atoms, options.stress_key, "stress", options, index, [(3, 3), (9,), (6,)])
    if value is None:
        return None
    if not atoms.pbc.all():
        raise PetDriverError(
            f"frame {index} has a stress but is not periodic in all directions; set pbc, or drop "
            "data.stress_key"
        )
    tensor = value[_VOIGT] if value.shape == (6,) else value.reshape(3, 3)
    tensor = 0.5 * options.stress_sign * (tensor + tensor.T)
    unit = units.energy_unit(options.energy_unit)
    if options.stress_kind == "stress":
        unit /= units.length_unit(options.length_unit) ** 3
    if options.stress_unit is not None:
        unit = units.stress_unit(options.stress_unit, options.stress_kind)
    return tensor * unit if options.stress_kind == "stress" else -tensor * unit / atoms.cell.volume


def _numbers(
    atoms: Atoms,
    key: str,
    label: str,
    options: DataOptions,
    index: int | str,
    shapes: list[tuple[int, ...]],
) -> npt.NDArray[np.float64] | None:
    """Values found under a key, of one of the shapes; None if the frame may lack the label."""
    known = _values_by_key(atoms)
    if key not in known:
        if label in options.may_lack:
            return None
        listed = sorted(set(known) - {"numbers", "positions"})
        raise PetDriverError(
            f"frame {index} has no {key!r}; it has {', '.join(listed) or 'no labels'}; correct the "
            f"key, or add {label} to data.may_lack"
        )
    try:
        values = np.asarray(known[key], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise PetDriverError(
            f"frame {index} has {known[key]!r} for {key!r}; it must be a number"
        ) from error
    if values.shape not in shapes:
        raise PetDriverError(
            f"frame {index} has {key!r} of shape {values.shape}; as {label} of {len(atoms)} atoms "
            f"it must be {' or '.join(str(shape) for shape in shapes)}"
        )
    if not np.isfinite(values).all():
        raise PetDriverError(
            f"frame {index} has {values[~np.isfinite(values)].flat[0]} in {key!r}; "
            "correct it or remove the frame"
        )
    return values


def _values_by_key(atoms: Atoms) -> dict[str, Any]:
    # ASE moves keys that it knows, such as "energy", from the file into a calculator.
    known = {**atoms.info, **atoms.arrays}
    if atoms.calc is not None:
        known.update(atoms.calc.results)
    return known
