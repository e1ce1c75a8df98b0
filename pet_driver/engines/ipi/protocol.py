"""Wire format of i-PI 3.3, batched or not: reading requests and sending results.

Headers are 12 bytes; numbers are native int32 and float64; everything is in atomic units, see
`messages`. The cell has the lattice vectors as columns.
"""

from __future__ import annotations

import re
import select
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory

import numpy as np

from ...errors import PetDriverError
from .guardian import Guardian
from .messages import Floats, Reply, Request

_HEADER = 12
_SEGMENTS = ("pos", "h", "ih", "pot", "force", "vir")  # in the order in which i-PI names them
_SHARED_NAME = b"ipi_shm_"  # with which i-PI's names of shared memory begin
_LONGEST_NAME = 255
_POLL = 0.5  # seconds after which a message that does not go on may be given up
_MOST_ATOMS = 10_000_000  # a larger count is a sign that client and server disagree on the format


class ServerGoneError(PetDriverError):
    """The server closed the connection without EXIT, or the connection broke."""


@contextmanager
def _in_words() -> Iterator[None]:
    """Context in which whatever ends a connection, a lost machine too, is a `ServerGoneError`."""
    try:
        yield
    except OSError as error:
        raise ServerGoneError(f"the connection to i-PI broke ({error})") from error


class Connection:
    """Connected socket on which messages are read and written.

    Waiting uses no processor time, and ends when the server ends.

    :param stream: connected socket
    :param stopped: asked, while a message does not go on, whether to give it up
    """

    def __init__(self, stream: socket.socket, stopped: Callable[[], bool] = lambda: False) -> None:
        self._socket, self._stopped = stream, stopped
        self._buffer = bytearray()
        self._guardian = Guardian(stream)

    def header(self) -> str:
        """Read the next header, without its blanks.

        :raises ServerGoneError: if the server has closed the connection
        """
        return self._take(_HEADER).decode("ascii", errors="replace").strip()

    def read_ahead(self, seconds: float = 0.05) -> None:
        """Read what has already arrived into a buffer.

        If this process is killed while a message is unread, the kernel answers the server with a
        reset, after which i-PI 3.3 waits for ever; with nothing unread the connection closes
        normally and i-PI gives the work to another driver. (The guardian reads what arrives later.)

        :param seconds: time to wait, if nothing has been read beyond the last message yet
        """
        if len(self._buffer) >= _HEADER:
            seconds = 0.0
        while select.select([self._socket], [], [], seconds)[0]:
            with _in_words():
                data = self._socket.recv(65536)
            if not data:
                return
            self._buffer += data
            seconds = 0.0

    def send_status(self, status: str) -> None:
        """Answer STATUS."""
        self._send(status.ljust(_HEADER).encode("ascii"))

    def initialization(self) -> int:
        """Read INIT; return the number of structures per request that the server announces."""
        _replica, length = struct.unpack("ii", self._take(8))
        text = self._take(length).decode("utf-8", errors="replace")
        found = re.search(r"batch_size\s*:\s*(\d+)", text)
        return int(found.group(1)) if found else 1

    def request(self, batch_size: int, n_atoms: int) -> Request:
        """Read the payload of POSDATA.

        :param batch_size: number of structures
        :param n_atoms: number of atoms of the template
        :raises PetDriverError: if the server's structures have another number of atoms, or are in
            shared memory
        """
        # A count, a length and a name would be read as cells, or waited for as such.
        if _SHARED_NAME in self._peek(8 + len(_SHARED_NAME)):
            raise PetDriverError(
                "i-PI sends names of shared memory, as its input has mode='shm'; give --shm "
                "instead of --unix"
            )
        if batch_size == 1:
            cells = self._numbers(18).reshape(1, 2, 3, 3)[:, 0]
            self._check_count(n_atoms)
        else:
            self._check_count(n_atoms)
            cells = self._numbers(18 * batch_size).reshape(batch_size, 2, 3, 3)[:, 0]
        positions = self._numbers(3 * n_atoms * batch_size).reshape(batch_size, n_atoms, 3)
        return Request.from_atomic_units(cells, positions)

    def send_results(self, replies: list[Reply]) -> None:
        """Answer GETFORCE, in one piece."""
        energies, forces, virials = map(
            np.stack, zip(*[r.in_atomic_units() for r in replies], strict=True)
        )
        parts = [
            b"FORCEREADY".ljust(_HEADER),
            energies.tobytes(),
            struct.pack("i", len(replies[0].forces)),
            forces.tobytes(),
            virials.tobytes(),
        ]
        self._send(b"".join(parts + _extras(replies)))

    @property
    def buffered(self) -> bool:
        """Whether something has been read that no message has used yet."""
        return bool(self._buffer)

    def fileno(self) -> int:
        """File descriptor, for select."""
        return self._socket.fileno()

    def close(self) -> None:
        """Read what is left, then close."""
        try:
            self.read_ahead(0.0)
        except ServerGoneError:
            return
        finally:
            self._socket.close()
            self._guardian.dismiss()

    def _check_count(self, n_atoms: int) -> None:
        (count,) = struct.unpack("i", self._take(4))
        if not 0 <= count < _MOST_ATOMS:
            raise self._misread(f"an impossible number of atoms, {count}")
        if count != n_atoms:
            raise PetDriverError(
                f"i-PI sent {count} atoms but the template has {n_atoms}; "
                "use the structure of <initialize> as --template"
            )

    def _misread(self, what: str) -> PetDriverError:
        """Error of a message of another format."""
        return PetDriverError(f"i-PI sent {what}; use i-PI 3.3")

    def _numbers(self, count: int) -> Floats:
        return np.frombuffer(self._take(8 * count), dtype=np.float64)

    def _send(self, data: bytes) -> None:
        with _in_words():
            self._socket.sendall(data)

    def _peek(self, count: int) -> bytes:
        """The next bytes, which stay to be read."""
        while len(self._buffer) < count:
            # An interrupted system call is made again, so a signal alone does not end the wait.
            if not select.select([self._socket], [], [], _POLL)[0]:
                if self._stopped():
                    raise ServerGoneError("stopped by a signal within a message of i-PI")
                continue
            with _in_words():
                data = self._socket.recv(max(65536, count - len(self._buffer)))
            if not data:
                raise ServerGoneError("i-PI closed the connection without EXIT; look at its log")
            self._buffer += data
        return bytes(self._buffer[:count])

    def _take(self, count: int) -> bytes:
        taken = self._peek(count)
        del self._buffer[:count]
        return taken


class SharedConnection(Connection):
    """Connection with cells, positions and results in shared memory, which i-PI owns."""

    def __init__(self, stream: socket.socket, stopped: Callable[[], bool] = lambda: False) -> None:
        super().__init__(stream, stopped)
        self._segments: dict[str, SharedMemory] = {}
        self._shape = (0, 0)

    def request(self, batch_size: int, n_atoms: int) -> Request:
        """Read the payload of POSDATA; see `Connection.request`."""
        self._check_count(n_atoms)
        if not self._segments:
            self._shape = (batch_size, n_atoms)
            for name in _SEGMENTS:
                self._segments[name] = _attached(self._segment_name())
        cells = self._view("h", batch_size, 3, 3)
        positions = self._view("pos", *self._shape, 3)
        # i-PI changes the memory later: the request holds copies.
        return Request.from_atomic_units(cells, positions)

    def send_results(self, replies: list[Reply]) -> None:
        """Answer GETFORCE; the numbers are in the shared memory."""
        count = len(replies)
        energies, forces, virials = zip(*[r.in_atomic_units() for r in replies], strict=True)
        self._view("pot", count)[:] = energies
        self._view("force", *self._shape, 3)[:] = forces
        self._view("vir", count, 3, 3)[:] = virials
        # The results must be in memory before i-PI is notified.
        self._send(b"".join([b"FORCEREADY".ljust(_HEADER), *_extras(replies)]))

    def close(self) -> None:
        """Close the socket and detach from the shared memory."""
        super().close()
        for segment in self._segments.values():
            segment.close()
        self._segments.clear()

    def _segment_name(self) -> str:
        (length,) = struct.unpack("i", self._take(4))
        if not len(_SHARED_NAME) < length <= _LONGEST_NAME:
            raise self._misread(f"{length} as the length of a name")
        name = self._take(length)
        if not name.startswith(_SHARED_NAME):
            raise self._misread(f"{name[:20]!r} as the name of shared memory")
        return name.decode()

    def _misread(self, what: str) -> PetDriverError:
        return PetDriverError(
            f"i-PI sent {what}; its input has no mode='shm', so give --unix or --address instead "
            "of --shm"
        )

    def _view(self, name: str, *shape: int) -> Floats:
        return np.ndarray(shape, np.float64, buffer=self._segments[name].buf)


def _attached(name: str) -> SharedMemory:
    """Attach to a segment of shared memory, which the server will remove."""
    if sys.version_info >= (3, 13):
        return SharedMemory(name=name, track=False)
    segment = SharedMemory(name=name)
    # Before Python 3.13, Python removes at exit what a process has only attached to; it has the
    # segment on its list by the private name.
    resource_tracker.unregister(segment._name, "shared_memory")  # type: ignore[attr-defined]
    return segment


def _extras(replies: list[Reply]) -> list[bytes]:
    """Length in bytes and text of the extras of each reply."""
    texts = [reply.text() for reply in replies]
    return [part for text in texts for part in (struct.pack("i", len(text)), text)]
