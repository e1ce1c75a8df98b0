"""Where i-PI listens."""

from __future__ import annotations

import socket
from dataclasses import dataclass


@dataclass(frozen=True)
class Address:
    """Address of a socket of i-PI.

    :param path: of a unix socket; None: an inet socket
    :param host: of an inet socket
    :param port: of an inet socket
    :param shared: whether positions and forces go through shared memory
    """

    path: str | None = None
    host: str = "localhost"
    port: int = 31415
    shared: bool = False

    def __str__(self) -> str:
        return self.path if self.path is not None else f"{self.host}:{self.port}"

    def connect(self, seconds: float) -> socket.socket:
        """Open a connection.

        :param seconds: to wait for an answer
        :raises OSError: if nobody listens there, or answers
        """
        if self.path is None:
            stream = socket.create_connection((self.host, self.port), timeout=seconds)
            stream.settimeout(None)
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # So that the disappearance of the server's machine is noticed after some time.
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            return stream
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            stream.connect(self.path)
        except OSError:
            stream.close()
            raise
        return stream
