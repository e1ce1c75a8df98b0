"""The i-PI client: serves one or several connections to a running i-PI."""

from __future__ import annotations

import select
import signal
import sys
import time
from dataclasses import dataclass

from ...errors import PetDriverError
from .address import Address
from .protocol import ServerGoneError
from .service import Service
from .session import Session

EXIT_NO_RESULT = 3
EXIT_NO_SERVER = 4
_SECONDS_BETWEEN_LINES = 10.0
_POLL = 0.5  # seconds after which signals and timeouts are looked at
_GRACE = 2.0  # seconds for i-PI to fetch the last result, after a signal


@dataclass
class _Clock:
    """Times of events, seconds.

    :param started: when serving began
    :param printed: last line of rates
    :param message: last message of i-PI
    :param signalled: when a signal was noticed first; None: not yet
    """

    started: float
    printed: float
    message: float
    signalled: float | None = None

    @property
    def elapsed(self) -> float:
        """Seconds since serving began."""
        return time.monotonic() - self.started


class Client:
    """Answers i-PI's requests until it sends EXIT on all connections.

    :param services: the service at each address
    :param wait: seconds to wait for a server to appear
    :param reconnect: how often to connect again, in total, when a connection ends
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
        self._sessions = [Session(address, service) for address, service in services]
        self._signals = 0

    def run(self) -> int:
        """Serve.

        :return: exit code: 0 after EXIT or a signal, 4 without a server
        :raises PetDriverError: without a valid result; i-PI can ask another driver then
        """
        previous = {
            number: signal.signal(number, self._note_signal)
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            for session in self._sessions:
                session.service.warm_up()
            for session in self._sessions:
                if not self._connect(session):
                    return EXIT_NO_SERVER
            return self._serve()
        finally:
            for session in self._sessions:
                session.close()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _note_signal(self, _number: int, _frame: object) -> None:
        self._signals += 1
        if self._signals > 1:
            raise PetDriverError("interrupted twice, leaving at once")

    def _connect(self, session: Session) -> bool:
        if session.connect(self.wait, lambda: self._signals > 0):
            return True
        if self._signals:
            _print(f"stopped by a signal while waiting for i-PI at {session.address}")
            return False
        _print(
            f"no i-PI at {session.address} after {self.wait:g} s; start i-PI first, or check "
            "the address in its input"
        )
        return False

    def _serve(self) -> int:
        now = time.monotonic()
        clock = _Clock(now, now, now)
        status = 0
        while any(session.connection for session in self._sessions):
            reason = self._reason_to_stop(clock)
            if reason is not None:
                return reason
            for session in self._ready():
                clock.message = time.monotonic()
                status = self._answer(session, status)
            if time.monotonic() - clock.printed > _SECONDS_BETWEEN_LINES:
                clock.printed = time.monotonic()
                _print(self._rates(clock.elapsed))
        _print(f"served {self._rates(clock.elapsed)}")
        return status

    def _reason_to_stop(self, clock: _Clock) -> int | None:
        """Exit code after a signal or a long silence; None: go on."""
        now = time.monotonic()
        if self._signals:
            clock.signalled = clock.signalled or now
            waiting = any(session.outstanding for session in self._sessions)
            if not waiting or now - clock.signalled > _GRACE:
                _print(f"stopped by a signal; {self._rates(clock.elapsed)}")
                return 0
        if self.idle and now - clock.message > self.idle:
            _print(f"no message for {self.idle:g} s, leaving; {self._rates(clock.elapsed)}")
            return EXIT_NO_SERVER
        return None

    def _ready(self) -> list[Session]:
        """Sessions with a message to read; waits for one, but not for long."""
        by_connection = {s.connection: s for s in self._sessions if s.connection is not None}
        buffered = [s for connection, s in by_connection.items() if connection.buffered]
        if buffered:
            return buffered
        readable, _, _ = select.select(list(by_connection), [], [], _POLL)
        return [by_connection[connection] for connection in readable]

    def _answer(self, session: Session, status: int) -> int:
        """Answer the next message of a session; return the exit code as it stands then."""
        try:
            if session.answer():
                return status
        except ServerGoneError as error:
            # ASE closes without a message when it is done; from i-PI it means a crash.
            if session.outstanding or not session.answered:
                status = EXIT_NO_SERVER
            _print(error)
        session.close()
        if self.reconnect > 0:
            self.reconnect -= 1
            if not self._connect(session):
                return EXIT_NO_SERVER
            return 0
        return status

    def _rates(self, seconds: float) -> str:
        requests = sum(session.answered for session in self._sessions)
        structures = sum(session.structures for session in self._sessions)
        in_model = sum(session.in_model for session in self._sessions)
        seconds = max(seconds, 1e-9)
        return (
            f"{requests} requests, {requests / seconds:.2f}/s, {structures} structures, "
            f"{structures / seconds:.2f}/s, {in_model / seconds:.0%} of the time in the model "
            f"({1e3 * in_model / max(structures, 1):.1f} ms for each)"
        )


def _print(message: object) -> None:
    print(f"pet-driver ipi: {message}", file=sys.stderr, flush=True)
