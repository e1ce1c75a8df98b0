"""A connection that breaks otherwise than by being closed."""

import errno
import socket

import pytest

from pet_driver.engines.ipi.protocol import Connection, ServerGoneError


class Lost(socket.socket):
    """A machine that does not answer any more, as the kernel says it after some time."""

    def recv(self, *_):
        raise OSError(errno.ETIMEDOUT, "Connection timed out")

    def sendall(self, *_):
        raise OSError(errno.EHOSTUNREACH, "No route to host")


@pytest.fixture
def connection():
    here, there = socket.socketpair()
    made = Connection(Lost(fileno=here.detach()))
    yield made
    made.close()
    there.close()


@pytest.mark.parametrize(
    ("use", "reason"),
    [
        (lambda connection: connection.header(), "Connection timed out"),
        (lambda connection: connection.send_status("READY"), "No route to host"),
    ],
    ids=["reading", "sending"],
)
def test_it_is_said_in_words(connection, use, reason):
    """The client connects anew, or ends with this sentence."""
    with pytest.raises(ServerGoneError, match=f"the connection to i-PI broke .*{reason}"):
        use(connection)
