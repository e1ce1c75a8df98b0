"""The i-PI client: serves energies, forces and virials to a running i-PI, over one connection or
several."""

from __future__ import annotations

import select
import signal
import socket
import sys
import time
from dataclasses import dataclass

import numpy as np

from ...errors import PetDriverError
from .protocol import Connection, ServerGoneError, SharedConnection
from .service import Reply, Request, Service

EXIT_NO_RESULT = 3
EXIT_NO_SERVER = 4
_SECONDS_BETWEEN_LINES = 10.0
_POLL = 0.5  # seconds after which signals and timeouts are looked at
_GRACE = 2.0  # seconds for i-PI to take the last result, after a signal


@dataclass(frozen=True)
class Address:
    """Where i-PI listens: a unix socket (path), or host and port; shared: positions and forces go
    through shared memory."""

    path: str | None = None
    host: str = "localhost"
    port: int = 31415
    shared: bool = False

    def __str__(self) -> str:
        return self.path if self.path is not None else f"{self.host}:{self.port}"

    def connect(self) -> socket.socket:
        """
        :raises OSError: if nobody listens there
        """
        if self.path is None:
            stream = socket.create_connection((self.host, self.port))
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # So that a server whose machine has vanished is noticed one day.
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            return stream
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            stream.connect(self.path)
        except OSError:
            stream.close()
            raise
        return stream


class Conversation:
    """One connection, and what has been said on it.

    outstanding: whether a result waits to be fetched; answered: number of requests answered.
    """

    def __init__(self, address: Address, service: Service) -> None:
        self.address, self.service = address, service
        self.connection: Connection | None = None
        self.answered = self.structures = 0
        self.in_model = 0.0
        self._batch_size: int | None = None
        self._results: list[Reply] | None = None

    @property
    def outstanding(self) -> bool:
        return self._results is not None

    def connect(self, wait: float) -> bool:
        """Try for so many seconds; whether it worked."""
        deadline, pause = time.monotonic() + wait, 0.1
        while True:
            try:
                stream = self.address.connect()
                break
            except OSError:
                if time.monotonic() > deadline:
                    return False
            time.sleep(pause)
            pause = min(2.0 * pause, 2.0)
        self.connection = (SharedConnection if self.address.shared else Connection)(stream)
        self._batch_size = self._results = None
        return True

    def close(self) -> None:
        """Leave nothing unread behind."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def answer(self) -> bool:
        """Answer the next message; False after EXIT.

        :raises ServerGoneError: if the server has closed the connection
        :raises PetDriverError: if there is no valid result, or the server talks nonsense
        """
        connection = self.connection
        header = connection.header()
        if header == "STATUS":
            ready = "HAVEDATA" if self.outstanding else "READY"
            connection.send_status("NEEDINIT" if self._batch_size is None else ready)
        elif header == "INIT":
            self._batch_size = connection.initialization()
        elif header == "POSDATA":
            request = connection.request(self._batch_size or 1, len(self.service.template))
            connection.read_ahead()
            self._results = self._evaluate(request)
        elif header == "GETFORCE":
            if self._results is None:
                raise PetDriverError("i-PI asked for forces before it sent positions")
            connection.send_results(self._results)
            self._results = None
            self.answered += 1
        elif header == "EXIT":
            return False
        else:
            raise PetDriverError(f"i-PI sent {header!r}, which is no message of its protocol")
        return True

    def _evaluate(self, request: Request) -> list[Reply]:
        """In one batch; structures that are repeated at its end only once: i-PI fills up so."""
        before = time.monotonic()
        count = len(request.positions)
        while count > 1 and _same(request, count - 1, count - 2):
            count -= 1
        replies = self.service.evaluate(Request(request.cells[:count], request.positions[:count]))
        self.structures += count
        self.in_model += time.monotonic() - before
        return replies + [replies[-1]] * (len(request.positions) - count)


class Client:
    """Answers i-PI's requests until it says EXIT on all connections.

    :param services: what is served at which address
    :param wait: seconds to wait for a server to appear
    :param reconnect: how often to connect again, over all, when a connection ends
    :param idle: seconds without a message after which to leave; 0: never
    """

    def __init__(
        self,
        services: list[tuple[Address, Service]],
        wait: float = 60.0,
        reconnect: int = 0,
        idle: float = 0.0,
    ) -> None:
        self.wait, self.reconnect, self.idle = wait, reconnect, idle
        self._conversations = [Conversation(address, service) for address, service in services]
        self._signals = 0

    def run(self) -> int:
        """Serve; returns the exit code: 0 after EXIT or a signal, 4 without a server.

        :raises PetDriverError: without a valid result; i-PI is free to ask another driver
        """
        previous = {
            number: signal.signal(number, self._note_signal)
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            for conversation in self._conversations:
                conversation.service.warm_up()
            for conversation in self._conversations:
                if not self._connect(conversation):
                    return EXIT_NO_SERVER
            return self._serve()
        finally:
            for conversation in self._conversations:
                conversation.close()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _note_signal(self, _number: int, _frame: object) -> None:
        self._signals += 1
        if self._signals > 1:
            raise PetDriverError("interrupted twice, leaving at once")

    def _connect(self, conversation: Conversation) -> bool:
        if conversation.connect(self.wait):
            return True
        _say(
            f"no i-PI at {conversation.address} after {self.wait:g} s; start i-PI first, or check "
            "the address in its input"
        )
        return False

    def _serve(self) -> int:
        started = printed = heard = time.monotonic()
        signalled: float | None = None
        status = 0
        while any(conversation.connection for conversation in self._conversations):
            now = time.monotonic()
            if self._signals:
                signalled = signalled or now
                waiting = any(conversation.outstanding for conversation in self._conversations)
                if not waiting or now - signalled > _GRACE:
                    _say(f"stopped by a signal; {self._rates(now - started)}")
                    return 0
            if self.idle and now - heard > self.idle:
                _say(f"nothing heard for {self.idle:g} s, leaving; {self._rates(now - started)}")
                return EXIT_NO_SERVER
            for conversation in self._ready():
                heard = time.monotonic()
                status = self._answer(conversation, status)
            if now - printed > _SECONDS_BETWEEN_LINES:
                printed = now
                _say(self._rates(now - started))
        _say(f"served {self._rates(time.monotonic() - started)}")
        return status

    def _ready(self) -> list[Conversation]:
        open_ones = [c for c in self._conversations if c.connection is not None]
        buffered = [c for c in open_ones if c.connection.buffered]
        if buffered:
            return buffered
        readable, _, _ = select.select([c.connection for c in open_ones], [], [], _POLL)
        return [c for c in open_ones if c.connection in readable]

    def _answer(self, conversation: Conversation, status: int) -> int:
        """The exit code as it stands after the next message of a conversation."""
        try:
            if conversation.answer():
                return status
        except (ServerGoneError, ConnectionError) as error:
            # ASE closes without a word when it is done; from i-PI it means a crash.
            if conversation.outstanding or not conversation.answered:
                status = EXIT_NO_SERVER
            gone = isinstance(error, ServerGoneError)
            _say(error if gone else f"the connection to i-PI broke ({error})")
        conversation.close()
        if self.reconnect > 0:
            self.reconnect -= 1
            if not self._connect(conversation):
                return EXIT_NO_SERVER
            return 0
        return status

    def _rates(self, seconds: float) -> str:
        requests = sum(c.answered for c in self._conversations)
        structures = sum(c.structures for c in self._conversations)
        in_model = sum(c.in_model for c in self._conversations)
        seconds = max(seconds, 1e-9)
        return (
            f"{requests} requests, {requests / seconds:.2f}/s, {structures} structures, "
            f"{structures / seconds:.2f}/s, {in_model / seconds:.0%} of the time in the model "
            f"({1e3 * in_model / max(structures, 1):.1f} ms for each)"
        )


def _same(request: Request, a: int, b: int) -> bool:
    return np.array_equal(request.positions[a], request.positions[b]) and np.array_equal(
        request.cells[a], request.cells[b]
    )


def _say(message: object) -> None:
    print(f"pet-driver ipi: {message}", file=sys.stderr, flush=True)
