"""End of an MPI job with one sentence and exit code 2."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mpi4py import MPI

# The launcher drops what it has not printed yet when a job is aborted.
_SECONDS_TO_PRINT = 0.3
_SECONDS_FOR_OTHERS = 1.5


def abort(comm: MPI.Comm, sentence: str, program: str = "pet-driver") -> None:
    """End all ranks at once, with exit code 2.

    :param sentence: printed before; with an empty one, another rank prints and ends the job
    :param program: name in front of the sentence
    """
    if sentence:
        print(f"{program}: {sentence}", file=sys.stderr, flush=True)
    time.sleep(_SECONDS_TO_PRINT if sentence else _SECONDS_FOR_OTHERS)
    comm.Abort(2)


def abort_world(sentence: str) -> None:
    """End the whole job with the sentence of one rank, the first one if all ranks have one."""
    from mpi4py import MPI

    rank = MPI.COMM_WORLD.rank
    if rank:
        time.sleep(_SECONDS_FOR_OTHERS)
    abort(MPI.COMM_WORLD, f"rank {rank}: {sentence}")
