"""A connection that breaks otherwise than by being closed."""

import errno
import socket

import pytest

from pet_driver.engines.ipi.address import Address
from pet_driver.engines.ipi.client import EXIT_NO_SERVER, Client
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


def test_the_client_connects_anew(monkeypatch):
    """Once more, as `--reconnect 1` asks for; there is no server any more then."""
    attempts = []
    client = Client([(Address("/nowhere"), None)], reconnect=1)
    (session,) = client._sessions
    monkeypatch.setattr(client, "_connect", lambda found: attempts.append(found) is not None)
    for _ in range(2):
        here, there = socket.socketpair()
        session.connection = Connection(Lost(fileno=here.detach()))
        status = client._answer(session, 0)
        there.close()
        assert attempts == [session]
    assert status == EXIT_NO_SERVER
