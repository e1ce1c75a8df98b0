"""Structures without a result that can be given to an engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import ase.io
import numpy as np
from numpy.typing import NDArray

from ..errors import PetDriverError
from ..graph import System


def check_forces(forces: NDArray[np.float64], most: float, of: str = "") -> None:
    """Check that no force is impossibly large.

    :param forces: (n_atoms, 3), eV/angstrom
    :param most: eV/angstrom, largest component
    :param of: what the message adds about the atom
    :raises PetDriverError: if one is larger
    """
    largest = np.abs(forces).max(initial=0.0)
    if largest > most:
        atom = int(np.abs(forces).max(axis=1).argmax())
        raise PetDriverError(
            f"a force on atom {atom} (counted from 0){of} is {largest:.3g} eV/angstrom, more than "
            f"{most:g}; look at the geometry, or raise --most-force"
        )


def write_failed(systems: Sequence[System]) -> str:
    """Write structures into a file of the working directory.

    :return: what a message says of it
    """
    plural = len(systems) > 1
    name = "structures" if plural else "structure"
    structures = [system.to_atoms() for system in systems]
    try:
        path = Path("pet_driver_failed.xyz").resolve()
        # With mpi4py imported, ASE would make all ranks of the world wait for each other.
        ase.io.write(path, structures, format="extxyz", parallel=False)
    except OSError as error:  # the error of the structures counts
        return f"the {name} could not be written: {error}"
    return f"the {name} {'are' if plural else 'is'} in {path}"
