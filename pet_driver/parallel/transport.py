"""Point-to-point exchange of tensor rows between ranks, and the answers of a failed rank.

Only ranks that share edges exchange messages. A rank that fails in the middle of an evaluation
answers every message that still arrives with one flagged as failed, until all ranks have met in the
agreement at the end. A rank that receives such an answer fails too. So no rank waits for ever,
every message is received, and the number of exchanges need not be known beforehand.
"""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..runtime.stopwatch import Stopwatch

if TYPE_CHECKING:
    from mpi4py import MPI

PAUSE = 0.0005  # seconds between two probes for messages
_SEQUENCE_LENGTH = 8192  # tags count exchanges up to here; MPI promises tags up to 32767


class PeerFailedError(Exception):
    """Another rank failed; the agreement at the end of the evaluation has its message."""


@dataclass(frozen=True, eq=False)
class UnderWay:
    """An exchange that has begun.

    sequence: number of the exchange; peers: (n_peers,), ranks with which messages are exchanged;
    requests: of the messages received, then of those sent; outgoing, incoming: memory that MPI
    reads and writes until then; received: where rows are wanted.
    """

    sequence: int
    peers: NDArray[np.int64]
    requests: list[MPI.Request]
    outgoing: Tensor
    incoming: Tensor
    received: Tensor


class Transport:
    """Messages of one communicator, counted in the order in which every rank exchanges them.

    :param comm: communicator of its own, as tags are used freely
    :param watch: counts the time as "exchange"

    on_device: whether messages go from GPU memory to GPU memory; bytes_sent: by this rank.
    """

    def __init__(self, comm: MPI.Comm, watch: Stopwatch) -> None:
        self.comm = comm
        self.watch = watch
        self.bytes_sent = 0
        self.on_device = mpi_reads_device_memory()
        self._sequence = 0
        self._under_way: list[UnderWay] = []

    def begin(self) -> None:
        """Count exchanges from zero, on all ranks, at the start of an evaluation."""
        self._sequence = 0

    def exchange(
        self, rows: Tensor, send_counts: NDArray[np.int64], receive_counts: NDArray[np.int64]
    ) -> Tensor:
        """Send rows to other ranks and receive theirs.

        :param rows: (n, k), sorted by destination
        :param send_counts: (n_ranks,), rows for each rank
        :param receive_counts: (n_ranks,), rows from each rank
        :return: (m, k), the rows received, sorted by sender
        :raises PeerFailedError: if a rank that should send has failed
        """
        return self.finish(self.begin_exchange(rows, send_counts, receive_counts))

    def begin_exchange(
        self, rows: Tensor, send_counts: NDArray[np.int64], receive_counts: NDArray[np.int64]
    ) -> UnderWay:
        """Begin what `exchange` does, and go on; `finish` has the rows received.

        Parameters as of `exchange`. Every rank must begin exchanges in the same order.
        """
        self._sequence = (self._sequence + 1) % _SEQUENCE_LENGTH
        received = rows.new_empty(int(receive_counts.sum()), rows.shape[1])
        direct = self.on_device or rows.device.type == "cpu"
        outgoing = rows.contiguous() if direct else _pinned(rows)
        incoming = received if direct else _pinned_like(received)
        if rows.device.type == "cuda":
            # MPI does not wait for CUDA streams, so what it sends must be complete. This waits for
            # kernels of the model, so it is not counted as exchange.
            torch.cuda.current_stream(rows.device).synchronize()
        with self.watch.measure("exchange"):
            peers = np.nonzero(send_counts + receive_counts)[0]
            requests = self._requests(
                peers, (_bytes(outgoing), send_counts), (_bytes(incoming), receive_counts)
            )
        self.bytes_sent += outgoing.numel() * outgoing.element_size()
        under_way = UnderWay(self._sequence, peers, requests, outgoing, incoming, received)
        self._under_way.append(under_way)
        return under_way

    def finish(self, under_way: UnderWay) -> Tensor:
        """Rows received in an exchange that was begun, once all messages have arrived.

        :raises PeerFailedError: if a rank that should send has failed
        """
        from mpi4py import MPI

        received = under_way.received
        with self.watch.measure("exchange"):
            statuses = [MPI.Status() for _ in under_way.requests]
            MPI.Request.Waitall(under_way.requests, statuses)
            self._under_way.remove(under_way)
            tags = [status.Get_tag() for status in statuses[: len(under_way.peers)]]
            for rank, found in zip(under_way.peers, tags, strict=True):
                if found // 2 != under_way.sequence:
                    raise RuntimeError(
                        f"rank {rank} is at exchange {found // 2}, this rank at "
                        f"{under_way.sequence}"
                    )
            if any(found % 2 for found in tags):
                raise PeerFailedError
            if under_way.incoming is not received:
                received.copy_(under_way.incoming, non_blocking=True)
                torch.cuda.current_stream(received.device).synchronize()
            return received

    def advance(self) -> None:
        """Let messages under way go on, which many MPI libraries do during calls only."""
        for under_way in self._under_way:
            for request in under_way.requests:
                request.Get_status()  # which, other than a test, keeps the request

    def settle(self) -> None:
        """Let messages under way arrive, on a rank that failed before it could finish them.

        The others either send what they owe or have failed too and answer; meanwhile, this rank
        answers what they send beyond that.
        """
        from mpi4py import MPI

        while self._under_way:
            if MPI.Request.Testall(self._under_way[-1].requests):
                self._under_way.pop()
            elif not self.answer_as_failed():
                time.sleep(PAUSE)

    def answer_as_failed(self) -> bool:
        """Answer one message that has arrived with one flagged as failed.

        :return: whether there was a message
        """
        from mpi4py import MPI

        status = MPI.Status()
        if not self.comm.Iprobe(MPI.ANY_SOURCE, MPI.ANY_TAG, status):
            return False
        rank, tag = status.Get_source(), status.Get_tag()
        self.comm.Recv([bytearray(status.Get_count(MPI.BYTE)), MPI.BYTE], rank, tag)
        empty = torch.empty(0, 1, dtype=torch.uint8)
        self.comm.Send(_message(empty), rank, tag | 1)
        return True

    def _requests(
        self,
        peers: NDArray[np.int64],
        out: tuple[Tensor, NDArray[np.int64]],
        into: tuple[Tensor, NDArray[np.int64]],
    ) -> list[MPI.Request]:
        """Requests of messages both ways with each of the peers, even if one of them is empty.

        :param out: bytes to send, sorted by rank, and the number of rows for each rank
        :param into: bytes to receive, likewise
        """
        from mpi4py import MPI

        if not len(peers):
            return []
        here, there = (torch.split(rows, counts[peers].tolist()) for rows, counts in (into, out))
        requests = [
            self.comm.Irecv(_message(piece), int(rank), MPI.ANY_TAG)
            for rank, piece in zip(peers, here, strict=True)
        ]
        return requests + [
            self.comm.Isend(_message(piece), int(rank), 2 * self._sequence)
            for rank, piece in zip(peers, there, strict=True)
        ]


def mpi_reads_device_memory() -> bool:
    """Whether the MPI library reports that it takes pointers to GPU memory."""
    if not torch.cuda.is_available():
        return False
    from mpi4py import MPI

    library = ctypes.CDLL(MPI.__file__)
    question = "MPIX_Query_hip_support" if torch.version.hip else "MPIX_Query_cuda_support"
    return hasattr(library, question) and bool(getattr(library, question)())


def _message(piece: Tensor) -> list[Any]:
    from mpi4py import MPI

    # mpi4py reads device memory through CUDA's array interface, which such tensors have.
    return [piece if piece.device.type == "cuda" else piece.numpy(), MPI.BYTE]


def _bytes(rows: Tensor) -> Tensor:
    """Rows (n, k) as (n, k * itemsize) bytes, the same memory."""
    return rows.view(torch.uint8) if rows.numel() else rows.new_empty(len(rows), 0).byte()


def _pinned_like(rows: Tensor) -> Tensor:
    return torch.empty(rows.shape, dtype=rows.dtype, pin_memory=True)


def _pinned(rows: Tensor) -> Tensor:
    return _pinned_like(rows).copy_(rows, non_blocking=True)
