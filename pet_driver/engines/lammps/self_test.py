"""Check on the first step of a run: energy and forces against those of one rank alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...errors import PetDriverError
from ...evaluation.potential import Potential
from ...evaluation.prediction import Prediction
from ...graph import System

if TYPE_CHECKING:
    from lammps import lammps

    from ...parallel.base import Domain

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]
_SMALL = 500  # atoms; as cheap as a few steps
_TOLERANCE = {"float64": 1e-8, "float32": 1e-3}  # relative


def compare_with_one_rank(
    potential: Potential,
    domain: Domain,
    prediction: Prediction,
    atoms: tuple[Integers, Floats],
    box: tuple[Floats, Booleans],
) -> str:
    """Compare the result of all ranks together with that of one. Collective.

    :param prediction: of all ranks together
    :param atoms: species (n_local,) and positions (n_local, 3), angstrom, of this rank
    :param box: cell (3, 3), angstrom, and periodicity (3,)
    :return: the finding, in a few words
    :raises PetDriverError: on every rank, if energy or forces differ
    """
    count = int(domain.total(np.array([len(atoms[0])]))[0])
    if count > _SMALL:
        return f"more than {_SMALL} atoms, not compared with one rank"
    parts = domain.comm.gather((*atoms, prediction.forces))
    found = ""
    with domain.agreement():
        if parts is not None and count:  # on the first rank
            species, positions, forces = (np.concatenate(x) for x in zip(*parts, strict=True))
            system = System(np.array(potential.species)[species], positions, *box)
            found = _difference(potential, system, prediction.energy, forces)
    return found


def _difference(potential: Potential, system: System, energy: float, forces: Floats) -> str:
    """Compare energy and forces with those of the whole system on this rank."""
    alone = potential.compute(system)
    errors = (
        abs(energy - alone.energy) / max(abs(alone.energy), 1.0),
        np.abs(forces - alone.forces).max() / max(np.abs(alone.forces).max(), 1.0),
    )
    if max(errors) > _TOLERANCE[potential.dtype]:
        raise PetDriverError(
            f"energy and forces differ by {errors[0]:.1e} and {errors[1]:.1e}, relative, from "
            "those of one rank alone; do not trust this set-up, run on one rank and report it"
        )
    return f"energy and forces within {errors[0]:.1e} and {errors[1]:.1e} of one rank alone"


def box_of(lmp: lammps) -> tuple[Floats, Booleans]:
    """Cell (3, 3) with lattice vectors as rows, angstrom, and periodicity (3,).

    In two dimensions LAMMPS calls the third direction periodic, but has no images along it.
    """
    low, high, xy, yz, xz, periodic, _ = lmp.extract_box()
    x, y, z = np.subtract(high, low)
    cell = np.array([[x, 0.0, 0.0], [xy, y, 0.0], [xz, yz, z]])
    flat = lmp.extract_setting("dimension") == 2
    return cell, np.array(periodic, dtype=bool) & np.array([True, True, not flat])
