"""What a frame of a data file says of itself, found under the user's keys, in eV and angstrom."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress

from ..errors import PetDriverError
from . import units
from .options import DataOptions


@dataclass
class Labels:
    """energy: eV; forces: (n_atoms, 3), eV/angstrom; stress: (3, 3), eV/angstrom^3, positive under
    tension; properties: (3,) or (3, 3) by name, in the units of the file. None where there is no
    label.
    """

    energy: float | None
    forces: np.ndarray | None
    stress: np.ndarray | None = None
    properties: dict[str, np.ndarray] = field(default_factory=dict)


def read_labels(
    atoms: Atoms, options: DataOptions, ranks: dict[str, int], index: int | str
) -> Labels:
    """
    :param atoms: with positions in angstrom
    :param ranks: of the covariant outputs that are wanted
    :param index: what the frame is called in messages
    :raises PetDriverError: if a label is missing that the frame may not lack, or is not what it
        should be
    """
    energy_unit = units.energy_unit(options.energy_unit)
    length_unit = units.length_unit(options.length_unit)
    forces_unit = energy_unit / length_unit
    if options.forces_unit is not None:
        forces_unit = units.forces_unit(options.forces_unit)
    energy = _numbers(atoms, options.energy_key, "energy", options, index, [()])
    forces = _numbers(atoms, options.forces_key, "forces", options, index, [(len(atoms), 3)])
    properties = {}
    for name, key in options.property_keys.items():
        shape = (3,) * ranks[name]
        value = _numbers(atoms, key, name, options, index, [shape, (1, *shape), (3 ** len(shape),)])
        if value is not None:
            properties[name] = value.reshape(shape)
    return Labels(
        None if energy is None else float(energy) * energy_unit,
        None if forces is None else forces * forces_unit,
        _stress(atoms, options, energy_unit, length_unit, index),
        properties,
    )


def _stress(
    atoms: Atoms, options: DataOptions, energy_unit: float, length_unit: float, index: int | str
) -> np.ndarray | None:
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
    tensor = voigt_6_to_full_3x3_stress(value) if value.shape == (6,) else value.reshape(3, 3)
    tensor = 0.5 * options.stress_sign * (tensor + tensor.T)
    if options.stress_kind == "virial":
        unit = (
            energy_unit if options.stress_unit is None else units.energy_unit(options.stress_unit)
        )
        return -tensor * unit / atoms.get_volume()
    unit = energy_unit / length_unit**3
    if options.stress_unit is not None:
        unit = units.stress_unit(options.stress_unit)
    return tensor * unit


def _numbers(
    atoms: Atoms,
    key: str,
    label: str,
    options: DataOptions,
    index: int | str,
    shapes: list[tuple[int, ...]],
) -> np.ndarray | None:
    # ASE moves keys that it knows, such as "energy", from the file into a calculator.
    known = {**atoms.info, **atoms.arrays}
    if atoms.calc is not None:
        known.update(atoms.calc.results)
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
            "correct it or take the frame out"
        )
    return values
