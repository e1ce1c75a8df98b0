"""Start of MPI: whether mpi4py and the launcher of the ranks belong to the same MPI."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from ..errors import PetDriverError

if TYPE_CHECKING:
    from mpi4py import MPI

OPEN_MPI = "Open MPI"
# How many processes the launcher started, as Open MPI's and MPICH's tell each of them.
_OPEN_MPI_SIZE, _MPICH_SIZE = "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"
# How many srun started, which tells nothing else to an MPI that it was not set up for.
_SRUN_SIZE = "SLURM_STEP_NUM_TASKS"


def start_mpi() -> MPI.Comm:
    """Start MPI, unless it runs already, and return the communicator of all ranks.

    :raises PetDriverError: if mpi4py or MPI is not there, or the launcher is of another MPI, so
        that each rank would run alone
    """
    try:
        import mpi4py

        # Under the launcher of another MPI the start itself may end the process, in its own words.
        mpi4py.rc.initialize, mpi4py.rc.finalize = False, True
        from mpi4py import MPI
    except (ImportError, OSError, RuntimeError) as error:
        raise PetDriverError(
            f"MPI cannot be loaded ({error}); install it with `pip install 'pet-driver[lammps]'`"
        ) from error
    if MPI.Is_initialized():
        return MPI.COMM_WORLD
    if _started(_OPEN_MPI_SIZE) > 1 and mpi_family(mpi_version()) != OPEN_MPI:
        raise PetDriverError(_refusal(_OPEN_MPI_SIZE))
    MPI.Init_thread()
    if MPI.COMM_WORLD.size > 1:
        return MPI.COMM_WORLD
    if _started(_MPICH_SIZE) > 1:
        raise PetDriverError(_refusal(_MPICH_SIZE))
    of_mpiexec = any(name in os.environ for name in (_OPEN_MPI_SIZE, _MPICH_SIZE))
    if _started(_SRUN_SIZE) > 1 and not of_mpiexec:
        raise PetDriverError(
            f"srun started {os.environ[_SRUN_SIZE]} processes that would each run alone, as "
            f"{mpi_version()}, which mpi4py uses, has not found the others; give srun the option "
            f"--mpi=pmi2 or what the site recommends, or unset {_SRUN_SIZE} for independent runs"
        )
    return MPI.COMM_WORLD


def mpi_version() -> str:
    """Name and version of the MPI that mpi4py has loaded."""
    from mpi4py import MPI

    return shortened(MPI.Get_library_version())


def mpi_family(version: str) -> str:
    """MPIs of one family have the same binary interface: Open MPI, or MPICH and all like it.

    :param version: as an MPI calls itself
    """
    return OPEN_MPI if version.startswith(OPEN_MPI) else "MPICH"


def shortened(version: str) -> str:
    """What an MPI calls itself, without the details that follow."""
    return re.sub(r"\s+", " ", version.splitlines()[0].split(",")[0]).strip()


def _started(name: str) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdigit() else 1


def _refusal(name: str) -> str:
    return (
        f"mpiexec started {os.environ[name]} processes that would each run alone, as it is of "
        f"another MPI than mpi4py, which uses {mpi_version()}; use the mpiexec of that MPI, or "
        "choose the MPI of mpi4py with MPI4PY_MPIABI (openmpi or mpich)"
    )
