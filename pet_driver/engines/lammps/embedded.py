"""Functions that an input script of a plain `lmp` with the package PYTHON calls.

    python source here "from pet_driver.engines.lammps import pet_attach, pet_report"
    python pet_attach input 2 SELF "water dtype float64 : H O" format ps exists
    python pet_attach invoke

LAMMPS looks functions up in the module `__main__` of its interpreter, and calls them with a capsule
that holds the address of its instance, a new one each time. Nothing of `fix python/invoke` carries
energy, virial or minimization; forces go through a `fix external`, as with `pet-lmp`.
"""

from __future__ import annotations

import shlex
import warnings
from typing import TYPE_CHECKING

from ...errors import PetDriverError
from ...parallel import NodePlace
from .abort import abort
from .options import FIX_ID, PairStyle
from .pair import PetPair
from .registry import REGISTRY

if TYPE_CHECKING:
    from lammps import lammps
    from mpi4py import MPI


def pet_attach(instance: object, text: str) -> None:
    """Let a model give the forces from here on.

    An error ends the job with one sentence and exit code 2.

    :param instance: capsule with the address of LAMMPS, `SELF` in the script
    :param text: ``MODEL [KEYWORD VALUE ...] : ELEMENT ...``, keywords as of `pair_style pet`, and
        the element of each atom type
    """
    lmp = _instance(instance)
    comm = lmp.get_mpi_comm()
    try:
        with warnings.catch_warnings(record=True) as caught:
            REGISTRY.detach(lmp)
            REGISTRY.attach(lmp, _attached(lmp, comm, text))
        for warning in caught if comm.rank == 0 else ():
            print(f"pet-driver: warning: {warning.message}", flush=True)
    except PetDriverError as error:
        abort(comm, str(error) if comm.rank == 0 else "")
    except Exception as error:  # one sentence, as of any other error in a script
        abort(comm, f"rank {comm.rank}: {type(error).__name__}: {error}")


def pet_report(instance: object, _flags: int = 0) -> None:
    """Print the times since the last report; for `fix python/invoke N end_of_step`.

    :param instance: capsule with the address of LAMMPS, `SELF` in the script
    """
    pair = REGISTRY.pair(_instance(instance))
    if pair is not None:
        pair.report()


def pet_register(instance: object) -> None:
    """Let the models of `pair_style mliap unified FILE 0` exchange messages between ranks.

    :param instance: capsule with the address of LAMMPS, `SELF` in the script
    """
    REGISTRY.register(_instance(instance))


def _instance(capsule: object) -> lammps:
    """Python object of the LAMMPS instance that calls."""
    from mpi4py import MPI

    try:
        from lammps import lammps

        return lammps(ptr=capsule)
    except Exception as error:  # the module raises many kinds if it belongs to another LAMMPS
        import lammps as module

        abort(
            MPI.COMM_WORLD,
            f"the Python module lammps of {module.__file__} does not go with this LAMMPS "
            f"({error}); "
            "put the folder of the module that was installed with it first in PYTHONPATH",
        )
        raise


def _attached(lmp: lammps, comm: MPI.Comm, text: str) -> PetPair:
    from mpi4py import MPI

    others = lmp.available_ids("fix")
    if others and not lmp.has_id("fix", FIX_ID):
        raise PetDriverError(
            f"pet_attach comes after fix {others[0]}, which would act before the forces of the "
            "model; put it before the first fix"
        )
    words, elements = _split(text)
    style = PairStyle.parse(["pet", *words])
    assert style is not None  # as its first word is pet
    pair = PetPair(lmp, comm, style, NodePlace.find(MPI.COMM_WORLD), launched=False)
    lmp.command(f"pair_style {style.stand_in(pair.ghost_cutoff)}")
    pair.set_coefficients(["*", "*", *elements])
    return pair


def _split(text: str) -> tuple[list[str], list[str]]:
    words = shlex.split(text)
    if words.count(":") != 1:
        raise PetDriverError(
            f"pet_attach was given {text!r}; write the model with its keywords, a colon, and the "
            'element of each atom type, as in "water dtype float64 : H O"'
        )
    colon = words.index(":")
    return words[:colon], words[colon + 1 :]
