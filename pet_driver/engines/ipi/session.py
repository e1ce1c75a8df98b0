"""One connection to i-PI and the state of its protocol."""

from __future__ import annotations

import time
from collections.abc import Callable

from ...errors import PetDriverError
from .address import Address
from .messages import Reply, Request
from .protocol import Connection, SharedConnection
from .service import Service

_FIRST_PAUSE = 0.1  # seconds between attempts to connect, doubled each time
_LONGEST_PAUSE = 2.0


class Session:
    """Service at one address of i-PI.

    :param address: where i-PI listens
    :param service: evaluates the structures

    :ivar connection: None while there is none
    :ivar answered: number of requests answered
    :ivar structures: number of structures evaluated
    :ivar in_model: seconds spent in evaluations
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
        """Whether i-PI has still to fetch a result."""
        return self._results is not None

    def connect(self, wait: float, stopped: Callable[[], bool]) -> bool:
        """Try to connect; whether it succeeded.

        :param wait: seconds after which to give up
        :param stopped: asked between attempts whether to give up at once
        """
        deadline, pause = time.monotonic() + wait, _FIRST_PAUSE
        while True:
            try:
                stream = self.address.connect(_LONGEST_PAUSE)
                break
            except OSError:
                if stopped() or time.monotonic() > deadline:
                    return False
            time.sleep(pause)
            pause = min(2.0 * pause, _LONGEST_PAUSE)
        self.connection = (SharedConnection if self.address.shared else Connection)(stream, stopped)
        self._batch_size = self._results = None
        return True

    def close(self) -> None:
        """Close the connection, with nothing left unread."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def answer(self) -> bool:
        """Answer the next message; False after EXIT.

        :raises ServerGoneError: if the server has closed the connection
        :raises PetDriverError: if there is no valid result, or the server breaks the protocol
        """
        connection = self.connection
        assert connection is not None  # the caller has connected
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
            raise PetDriverError(
                f"i-PI sent {header!r}, which is not a message of its protocol; use i-PI 3.3"
            )
        return True

    def _evaluate(self, request: Request) -> list[Reply]:
        """Replies to all structures, of which repeated ones are evaluated once."""
        before = time.monotonic()
        distinct = request.without_repeats()
        count = len(distinct.positions)
        replies = self.service.evaluate(distinct)
        self.structures += count
        self.in_model += time.monotonic() - before
        return replies + [replies[-1]] * (len(request.positions) - count)
