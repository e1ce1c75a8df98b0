"""Rows of tensors sent from rank to rank within one evaluation, point to point: only ranks that
share edges speak to each other.

A rank that fails in the middle of an evaluation still owes the others its messages. It sends empty
ones with the mark of failure instead, and hears out what is sent to it; who receives a mark fails
too, and does the same. So nobody waits for ever, and all ranks meet at the end to learn what
happened.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..runtime.stopwatch import Stopwatch

if TYPE_CHECKING:
    from mpi4py import MPI

_SEQUENCE_LENGTH = 8192  # tags count exchanges up to here; MPI promises tags up to 32767


class PeerFailedError(Exception):
    """Another rank failed; what it has to say is learnt at the end of the evaluation."""


class Transport:
    """
    :param comm: communicator of its own, as tags are used freely
    :param watch: counts the time as "exchange"

    on_device: whether messages go from GPU memory to GPU memory.
    """

    def __init__(self, comm: MPI.Comm, watch: Stopwatch) -> None:
        self.comm = comm
        self.watch = watch
        self.bytes_sent = 0
        self.on_device = mpi_reads_device_memory()
        self._sequence = 0
        self._owed: list[tuple[np.ndarray, np.ndarray]] = []

    def announce(self, exchanges: list[tuple[np.ndarray, np.ndarray]]) -> None:
        """The exchanges that the coming evaluation consists of, as (send counts, receive counts) of
        each, (n_ranks,) rows.
        """
        self._owed = list(exchanges)

    def exchange(self, rows: Tensor) -> Tensor:
        """The next of the exchanges announced.

        :param rows: (n, k), sorted by destination
        :return: (m, k), the rows received, sorted by sender
        :raises PeerFailedError: if a rank that should send has failed
        """
        with self.watch.measure("exchange"):
            return self._exchange(rows)

    def drain(self) -> None:
        """Take part in all exchanges that are still owed, with marks of failure."""
        while self._owed:
            send_counts, receive_counts = self._owed.pop(0)
            self._sequence = (self._sequence + 1) % _SEQUENCE_LENGTH
            empty = torch.empty(0, 1, dtype=torch.uint8)
            requests = [
                self.comm.Isend(_message(empty), int(rank), self._tag(failed=True))
                for rank in np.nonzero(send_counts)[0]
            ]
            for rank in np.nonzero(receive_counts)[0]:
                self._swallow(int(rank))
            _wait(requests)

    def _exchange(self, rows: Tensor) -> Tensor:
        send_counts, receive_counts = self._owed.pop(0)
        self._sequence = (self._sequence + 1) % _SEQUENCE_LENGTH
        received = rows.new_empty(int(receive_counts.sum()), rows.shape[1])
        direct = self.on_device or rows.device.type == "cpu"
        outgoing = rows.contiguous() if direct else _pinned(rows)
        incoming = received if direct else _pinned_like(received)
        if rows.device.type == "cuda":
            # MPI knows nothing of streams: what is sent must be there.
            torch.cuda.current_stream(rows.device).synchronize()
        failed = self._post(_bytes(outgoing), send_counts, _bytes(incoming), receive_counts)
        if failed:
            raise PeerFailedError
        if not direct:
            received.copy_(incoming, non_blocking=True)
            torch.cuda.current_stream(rows.device).synchronize()
        self.bytes_sent += outgoing.numel() * outgoing.element_size()
        return received

    def _post(
        self, outgoing: Tensor, send_counts: np.ndarray, incoming: Tensor, counts: np.ndarray
    ) -> bool:
        """Send and receive; whether any message bears the mark of failure."""
        from mpi4py import MPI

        targets, sources = np.nonzero(send_counts)[0], np.nonzero(counts)[0]
        pieces_in = torch.split(incoming, counts[sources].tolist()) if len(sources) else ()
        pieces_out = torch.split(outgoing, send_counts[targets].tolist()) if len(targets) else ()
        requests = [
            self.comm.Irecv(_message(piece), int(rank), MPI.ANY_TAG)
            for rank, piece in zip(sources, pieces_in, strict=True)
        ]
        requests += [
            self.comm.Isend(_message(piece), int(rank), self._tag())
            for rank, piece in zip(targets, pieces_out, strict=True)
        ]
        tags = [status.Get_tag() for status in _wait(requests)[: len(sources)]]
        for rank, tag in zip(sources, tags, strict=True):
            if tag // 2 != self._sequence:
                raise RuntimeError(
                    f"rank {rank} is at exchange {tag // 2}, this rank at {self._sequence}"
                )
        return any(tag % 2 for tag in tags)

    def _tag(self, failed: bool = False) -> int:
        return 2 * self._sequence + int(failed)

    def _swallow(self, rank: int) -> None:
        """Receive one message of unknown size."""
        from mpi4py import MPI

        status = MPI.Status()
        self.comm.Probe(rank, MPI.ANY_TAG, status)
        size = status.Get_count(MPI.BYTE)
        self.comm.Recv([bytearray(size), MPI.BYTE], rank, status.Get_tag())


def mpi_reads_device_memory() -> bool:
    """Whether the MPI library in use takes pointers to GPU memory; asked of the library itself."""
    if not torch.cuda.is_available():
        return False
    from mpi4py import MPI

    library = ctypes.CDLL(MPI.__file__)
    question = "MPIX_Query_hip_support" if torch.version.hip else "MPIX_Query_cuda_support"
    return hasattr(library, question) and bool(getattr(library, question)())


def _wait(requests: list[MPI.Request]) -> list[MPI.Status]:
    from mpi4py import MPI

    statuses = [MPI.Status() for _ in requests]
    MPI.Request.Waitall(requests, statuses)
    return statuses


def _message(piece: Tensor) -> list:
    from mpi4py import MPI

    # mpi4py reads device memory through CUDA's array interface, which such tensors have.
    return [piece if piece.device.type == "cuda" else piece.numpy(), MPI.BYTE]


def _bytes(rows: Tensor) -> Tensor:
    """(n, k) rows as (n, k * itemsize) bytes, the same memory."""
    return rows.view(torch.uint8) if rows.numel() else rows.new_empty(len(rows), 0).byte()


def _pinned_like(rows: Tensor) -> Tensor:
    return torch.empty(rows.shape, dtype=rows.dtype, pin_memory=True)


def _pinned(rows: Tensor) -> Tensor:
    return _pinned_like(rows).copy_(rows, non_blocking=True)
