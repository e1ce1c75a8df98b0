"""Structures with the teacher's labels, and momenta, in files that a resumed run reads again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ..errors import PetDriverError
from ..graph import System
from .teacher import TeacherLabel

Floats = NDArray[np.float64]

_NUMBERS = ("energy", "energy_noise", "energy_error", "force_error")
_ARRAYS = ("energies", "forces", "virial", "force_noise")
_PROPERTY = "property."


def write_structure(
    path: Path,
    system: System,
    label: TeacherLabel | None = None,
    momenta: Floats | None = None,
) -> None:
    """Write one structure, whole or not at all.

    :param label: None: it has none
    :param momenta: (n_atoms, 3), in the units of ASE; None: left out
    """
    arrays = {
        "numbers": system.numbers,
        "positions": system.positions,
        "cell": system.cell,
        "pbc": system.pbc,
    }
    values = {"charge": _plain(system.charge), "spin": _plain(system.spin)}
    if label is not None:
        arrays |= {name: getattr(label, name) for name in _ARRAYS}
        arrays |= {name: np.array([getattr(label, name)]) for name in _NUMBERS}
        arrays |= {_PROPERTY + name: x for name, x in label.properties.items()}
    if momenta is not None:
        arrays["momenta"] = momenta
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    whole = {name: np.ascontiguousarray(x) for name, x in arrays.items()}
    save_file(whole, partial, metadata={"values": json.dumps(values)})
    partial.replace(path)


def read_structure(path: Path) -> tuple[System, TeacherLabel | None, Floats | None]:
    """Structure, label and momenta of a file that `write_structure` wrote.

    :raises PetDriverError: if the file is damaged
    """
    try:
        with safe_open(path, framework="np") as file:
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
            values = json.loads((file.metadata() or {})["values"])
        system = System(
            arrays["numbers"],
            arrays["positions"],
            arrays["cell"],
            arrays["pbc"],
            values["charge"],
            values["spin"],
        )
        label = _label(arrays) if "energy" in arrays else None
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise PetDriverError(
            f"{path} is damaged ({type(error).__name__}); remove it and start again"
        ) from error
    return system, label, arrays.get("momenta")


def _label(arrays: dict[str, NDArray[np.float64]]) -> TeacherLabel:
    values: dict[str, Any] = {name: float(arrays[name][0]) for name in _NUMBERS}
    values |= {name: arrays[name] for name in _ARRAYS}
    values["properties"] = {
        name.removeprefix(_PROPERTY): x for name, x in arrays.items() if name.startswith(_PROPERTY)
    }
    return TeacherLabel(**values)


def _plain(value: object) -> object:
    """A charge or spin as JSON can hold it."""
    return value.item() if isinstance(value, np.generic | np.ndarray) else value
