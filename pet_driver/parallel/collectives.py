"""Collective functions: agreement on errors, all-to-all exchange of rows, owners of ghosts.

All ranks of the communicator must call them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import PetDriverError
from ..runtime.devices import short_of_memory
from .transport import PAUSE, PeerFailedError

if TYPE_CHECKING:
    from mpi4py import MPI


def agree(
    comm: MPI.Comm, error: Exception | None, answer: Callable[[], bool] | None = None
) -> None:
    """Raise an error on every rank if any rank has one: the message of the lowest such rank.

    :param error: of this rank, None: no error
    :param answer: called repeatedly by a rank with an error while it waits for the others, to
        answer one message that they still send; returns whether there was one
    :raises PetDriverError: if any rank failed
    :raises torch.OutOfMemoryError: on every rank, if that was the error
    """
    from mpi4py import MPI

    # A rank that failed only because another did gives the message only if no other rank can.
    code = comm.rank + comm.size * isinstance(error, PeerFailedError)
    none = 2 * comm.size
    mine, lowest = np.array([none if error is None else code]), np.empty(1, dtype=np.int64)
    request = comm.Iallreduce(mine, lowest, op=MPI.MIN)
    while error is not None and answer is not None and not request.Test():
        if not answer():
            time.sleep(PAUSE)
    request.Wait()
    if lowest[0] == none:
        return
    first = int(lowest[0]) % comm.size
    memory, message = comm.bcast((short_of_memory(error), _message(error)), root=first)
    # No rank may go on and send anything before all of them have stopped answering.
    comm.Barrier()
    if comm.size > 1:
        message = f"rank {first}: {message}"
    raise (torch.OutOfMemoryError if memory else PetDriverError)(message) from error


def _message(error: Exception | None) -> str:
    return f"{error}" if isinstance(error, PetDriverError) else f"{type(error).__name__}: {error}"


def owners(
    comm: MPI.Comm, local_ids: NDArray[np.int64], wanted: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Rank that owns each of some ghosts, (n_wanted,).

    The owner of an id is recorded on the rank ``id % n_ranks``, so no rank ever holds all ids.

    :param local_ids: (n_local,), ids that this rank owns
    :param wanted: (n_wanted,), ids of the ghosts
    :raises PetDriverError: on every rank, if a ghost belongs to no rank
    """
    owner = _looked_up(comm, local_ids, wanted)
    error = None
    if (owner < 0).any():
        lost = wanted[owner < 0][0]
        error = PetDriverError(f"ghost atom {lost} belongs to no rank; give all atoms unique ids")
    agree(comm, error)
    return owner


def _looked_up(
    comm: MPI.Comm, local_ids: NDArray[np.int64], wanted: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Rank that owns each wanted id, (n_wanted,); -1 where none does."""
    if comm.size == 1:
        return np.where(np.isin(wanted, local_ids), 0, -1)
    local_ids = local_ids.astype(np.int64)
    (known_ids, source), _ = _to_ranks(comm, local_ids % comm.size, local_ids)
    order = np.argsort(known_ids)
    known_ids, source = known_ids[order], source[order]
    unique, inverse = np.unique(wanted.astype(np.int64), return_inverse=True)
    (asked, asker), sent_order = _to_ranks(comm, unique % comm.size, unique)
    index = np.searchsorted(known_ids, asked)
    index = np.minimum(index, max(len(known_ids) - 1, 0))
    found = known_ids[index] == asked if len(known_ids) else np.zeros(len(asked), dtype=bool)
    answers = np.where(found, source[index] if len(source) else -1, -1)
    returned = alltoallv(
        comm, answers[:, None].astype(np.float64), np.bincount(asker, minlength=comm.size)
    )
    found_owners = np.empty(len(unique), dtype=np.int64)
    found_owners[sent_order] = returned[:, 0].astype(np.int64)
    return found_owners[inverse]


def _to_ranks(
    comm: MPI.Comm, destination: NDArray[np.int64], ids: NDArray[np.int64]
) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], NDArray[np.int64]]:
    """Send each id to a rank.

    :param destination: (n,), rank for each id
    :param ids: (n,)
    :return: ids received and their senders, (n_received,) each; order in which the ids were sent,
        (n,)
    """
    order = np.argsort(destination, kind="stable")
    counts = np.bincount(destination, minlength=comm.size)
    received = alltoallv(comm, ids[order][:, None].astype(np.float64), counts)
    return (received[:, 0].astype(np.int64), _senders(comm, counts)), order


def _senders(comm: MPI.Comm, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.repeat(np.arange(comm.size), received_counts(comm, counts))


def received_counts(comm: MPI.Comm, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of rows from each rank, (n_ranks,), given the number for each rank."""
    received = np.empty(comm.size, dtype=np.int64)
    comm.Alltoall(counts.astype(np.int64), received)
    return received


def alltoallv(
    comm: MPI.Comm, rows: NDArray[np.float64], counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Send the rows of an array to their ranks.

    :param rows: (n, k), sorted by destination; counts: (n_ranks,), rows for each rank
    :return: (m, k), the rows received, sorted by sender
    """
    from mpi4py.util import dtlib

    if comm.size == 1:
        return rows.copy()
    width = rows.shape[1]
    from_ranks = received_counts(comm, counts)
    result = np.empty((int(from_ranks.sum()), width), dtype=rows.dtype)
    datatype = dtlib.from_numpy_dtype(rows.dtype)
    comm.Alltoallv(
        [np.ascontiguousarray(rows), (counts * width, _starts(counts * width)), datatype],
        [result, (from_ranks * width, _starts(from_ranks * width)), datatype],
    )
    return result


def _starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.cumsum(counts) - counts
