"""Connection to an MDI driver: commands and arrays, by the library of MDI (pymdi).

The library waits without limit, does not report who is gone, and takes a reset connection for data.
So its socket is looked at before it reads, and drained before it is closed.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import stat
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import PetDriverError
from .address import Address

NODE = "@DEFAULT"
_HEADER = struct.Struct("4i")  # of a message of MDI: error, kind, type of the data, count
_GRACE = 2.0  # seconds for the driver to notice that the engine leaves

Floats = NDArray[np.float64]
Integers = NDArray[np.int32] | NDArray[np.int64]  # sent and received as int32


class DriverGoneError(PetDriverError):
    """The driver has closed the connection."""


class Connection:
    """Open connection to a driver.

    :param address: where it listens
    :param commands: that the engine answers
    :param wait: seconds to wait for the driver
    :raises PetDriverError: if pymdi is not installed, or no driver answers in this time; then a
        thread that still tries is left behind, so the process should end
    """

    def __init__(self, address: Address, commands: Iterable[str], wait: float) -> None:
        try:
            import mdi
        except ImportError as error:
            raise PetDriverError(
                f"MDI needs pymdi ({error}); pip install 'pet-driver[mdi]'"
            ) from error
        self._mdi = mdi
        before = set(_sockets())
        with _without_mpi():
            _within(wait, lambda: mdi.MDI_Init(address.words()), address)
        mdi.MDI_Register_Node(NODE)
        for command in commands:
            mdi.MDI_Register_Command(NODE, command)
        self._comm = mdi.MDI_Accept_Communicator()
        opened = [number for number in _sockets() if number not in before]
        if self._comm == mdi.MDI_COMM_NULL or not opened:
            raise PetDriverError(f"cannot connect to {address}; check the name of the host")
        self._socket = socket.socket(fileno=os.dup(opened[0]))
        # So that the disappearance of the driver's machine is noticed after some time.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def factor(self, unit: str, other: str) -> float:
        """Number of the other unit in one unit, by the constants of the library."""
        return float(self._mdi.MDI_Conversion_Factor(unit, other))

    def command(self) -> str:
        """Wait for the next command.

        :raises DriverGoneError: if the driver has closed the connection
        """
        self._peek()
        with _ending_on_interrupt(), self._failing_as("a command"):
            return str(self._mdi.MDI_Recv_Command(self._comm))

    def integers(self, command: str, count: int) -> Integers:
        """Receive the integers that follow a command, (count,).

        :raises PetDriverError: if other data follow
        """
        found = np.zeros(count, dtype=np.int32)
        self._receive(command, found, self._mdi.MDI_INT)
        return found

    def floats(self, command: str, count: int) -> Floats:
        """Receive the real numbers that follow a command, (count,).

        :raises PetDriverError: if other data follow
        """
        found = np.zeros(count)
        self._receive(command, found, self._mdi.MDI_DOUBLE)
        return found

    def send(self, values: Floats | Integers) -> None:
        """Send real numbers or integers of any shape.

        :raises DriverGoneError: if the driver has closed the connection
        """
        kind = self._mdi.MDI_INT if values.dtype.kind == "i" else self._mdi.MDI_DOUBLE
        with self._failing_as("a result"):
            self._mdi.MDI_Send(np.ascontiguousarray(values).ravel(), values.size, kind, self._comm)

    def send_text(self, text: str) -> None:
        """Send a text, filled up to the length of a command."""
        length = int(self._mdi.MDI_COMMAND_LENGTH)
        with self._failing_as("a text"):
            self._mdi.MDI_Send(text.ljust(length, "\0"), length, self._mdi.MDI_CHAR, self._comm)

    def close(self) -> None:
        """Close, with nothing left unread: a driver takes a reset connection for a result."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            deadline = time.monotonic() + _GRACE
            self._socket.settimeout(0.1)
            while time.monotonic() < deadline:
                with contextlib.suppress(TimeoutError):
                    if not self._socket.recv(65536):
                        break
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _receive(self, command: str, values: Floats | Integers, kind: int) -> None:
        """Receive an array, whose announcement is read beforehand, to name what is wrong."""
        _, _, sent_kind, sent = self._peek()
        if sent != values.size:
            raise PetDriverError(
                f"the driver sent {sent} numbers with {command}, but {values.size} belong to it; "
                "send >NATOMS first, and then arrays of that many atoms"
            )
        names = {self._mdi.MDI_INT: "integers", self._mdi.MDI_DOUBLE: "real numbers"}
        if sent_kind in names and sent_kind != kind:
            raise PetDriverError(
                f"the driver sent {names[sent_kind]} with {command}, where {names[kind]} belong; "
                "see the standard of MDI"
            )
        with _ending_on_interrupt(), self._failing_as(f"what belongs to {command}"):
            self._mdi.MDI_Recv(values.size, kind, self._comm, values)

    def _peek(self) -> tuple[int, ...]:
        """Announcement of the next message, which stays unread; waits for it."""
        try:
            select.select([self._socket], [], [])
            flags = socket.MSG_PEEK | socket.MSG_WAITALL
            announcement = self._socket.recv(_HEADER.size, flags)
        except OSError as error:
            raise DriverGoneError(f"the connection to the driver broke ({error})") from error
        if len(announcement) < _HEADER.size:
            raise DriverGoneError(
                "the driver closed the connection without EXIT; see its log for the reason"
            )
        return _HEADER.unpack(announcement)

    @contextlib.contextmanager
    def _failing_as(self, what: str) -> Iterator[None]:
        """Turn the library's error, which states no reason, into a sentence."""
        try:
            yield
        except Exception as error:  # it raises this class
            raise DriverGoneError(
                f"{what} could not be exchanged with the driver; see its log for the reason"
            ) from error


def _within(wait: float, function: Callable[[], object], address: Address) -> None:
    """Call a function in a thread, as the library tries to connect for ever.

    :raises PetDriverError: if it fails, or has not returned after so many seconds
    """
    failures: list[BaseException] = []

    def call() -> None:
        try:
            function()
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(wait)
    if thread.is_alive():
        raise PetDriverError(
            f"no MDI driver answered at {address} within {wait:g} s; start the driver first, check "
            "its port, or raise --wait"
        )
    if failures:
        raise PetDriverError(f"cannot connect to {address}: {failures[0]}")


@contextlib.contextmanager
def _without_mpi() -> Iterator[None]:
    """Keep pymdi from importing mpi4py: ASE would then call an MPI that nobody initializes."""
    modules: dict[str, Any] = sys.modules  # None: not to be imported
    previous = modules.get("mpi4py")
    modules["mpi4py"] = None
    try:
        yield
    finally:
        del modules["mpi4py"]
        if previous is not None:
            modules["mpi4py"] = previous


@contextlib.contextmanager
def _ending_on_interrupt() -> Iterator[None]:
    """Let an interrupt end the process: the library may wait where Python sees none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _sockets() -> Iterator[int]:
    """Numbers of the open sockets of this process."""
    for name in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                yield int(name)
