"""What ranks do together: agree on errors, send rows to each other, find the owners of atoms.

Everything here is collective: all ranks of the communicator must call it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ..errors import PetDriverError
from .transport import PeerFailedError

if TYPE_CHECKING:
    from mpi4py import MPI


def agree(comm: MPI.Comm, error: Exception | None) -> None:
    """Raise on every rank if any rank brings an error: the sentence of the first of them.
    Collective.

    :raises PetDriverError: if any rank failed
    :raises torch.OutOfMemoryError: on every rank, if that was the error
    """
    from mpi4py import MPI

    # A rank that only heard of a failure has nothing to say, unless nobody else does.
    place = comm.rank + comm.size * isinstance(error, PeerFailedError)
    first = comm.allreduce(2 * comm.size if error is None else place, op=MPI.MIN)
    if first == 2 * comm.size:
        return
    first %= comm.size
    memory, sentence = comm.bcast(
        (isinstance(error, torch.OutOfMemoryError), _sentence(error)), root=first
    )
    if comm.size > 1:
        sentence = f"rank {first}: {sentence}"
    raise (torch.OutOfMemoryError if memory else PetDriverError)(sentence) from error


def _sentence(error: Exception | None) -> str:
    return f"{error}" if isinstance(error, PetDriverError) else f"{type(error).__name__}: {error}"


def owners(comm: MPI.Comm, local_ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Rank that owns each wanted id, -1 where none does. Collective.

    A rendezvous: each id has a rank, by remainder, that knows its owner; no rank ever holds all
    ids.
    """
    if comm.size == 1:
        return np.where(np.isin(wanted, local_ids), 0, -1)
    local_ids = local_ids.astype(np.int64)
    known, _ = _to_ranks(comm, local_ids % comm.size, local_ids)
    known_ids, source = known
    order = np.argsort(known_ids)
    known_ids, source = known_ids[order], source[order]
    unique, inverse = np.unique(wanted.astype(np.int64), return_inverse=True)
    (asked, asker), sent_order = _to_ranks(comm, unique % comm.size, unique)
    place = np.searchsorted(known_ids, asked)
    place = np.minimum(place, max(len(known_ids) - 1, 0))
    found = known_ids[place] == asked if len(known_ids) else np.zeros(len(asked), dtype=bool)
    answers = np.where(found, source[place] if len(source) else -1, -1)
    returned = alltoallv(
        comm, answers[:, None].astype(np.float64), np.bincount(asker, minlength=comm.size)
    )
    owners = np.empty(len(unique), dtype=np.int64)
    owners[sent_order] = returned[:, 0].astype(np.int64)
    return owners[inverse]


def _to_ranks(
    comm: MPI.Comm, destination: np.ndarray, ids: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Send each id to a rank; returns the ids received with their senders, and the order in which
    ours were sent.
    """
    order = np.argsort(destination, kind="stable")
    counts = np.bincount(destination, minlength=comm.size)
    received = alltoallv(comm, ids[order][:, None].astype(np.float64), counts)
    return (received[:, 0].astype(np.int64), _senders(comm, counts)), order


def _senders(comm: MPI.Comm, counts: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(comm.size), _received_counts(comm, counts))


def _received_counts(comm: MPI.Comm, counts: np.ndarray) -> np.ndarray:
    received = np.empty(comm.size, dtype=np.int64)
    comm.Alltoall(counts.astype(np.int64), received)
    return received


def alltoallv(comm: MPI.Comm, rows: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Rows of a (n, k) array, sorted by destination, to their ranks; returns the rows received,
    sorted by sender.
    """
    from mpi4py.util import dtlib

    if comm.size == 1:
        return rows.copy()
    width = rows.shape[1]
    received = _received_counts(comm, counts)
    result = np.empty((int(received.sum()), width), dtype=rows.dtype)
    kind = dtlib.from_numpy_dtype(rows.dtype)
    comm.Alltoallv(
        [np.ascontiguousarray(rows), (counts * width, _starts(counts * width)), kind],
        [result, (received * width, _starts(received * width)), kind],
    )
    return result


def _starts(counts: np.ndarray) -> np.ndarray:
    return np.cumsum(counts) - counts
