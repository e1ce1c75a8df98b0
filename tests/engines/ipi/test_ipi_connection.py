"""Connections that break otherwise than by being closed, or carry what is not expected."""

import contextlib
import errno
import socket
import struct

import numpy as np
import pytest

from pet_driver.engines.ipi.address import Address
from pet_driver.engines.ipi.client import EXIT_NO_SERVER, Client
from pet_driver.engines.ipi.committee import Committee
from pet_driver.engines.ipi.messages import Request
from pet_driver.engines.ipi.protocol import Connection, ServerGoneError, SharedConnection
from pet_driver.engines.ipi.service import Service
from pet_driver.errors import PetDriverError
from pet_driver.evaluation.options import EvaluationOptions
from pet_driver.graph import System


class Lost(socket.socket):
    """A machine that does not answer any more, as the kernel says it after some time."""

    def recv(self, *_):
        raise OSError(errno.ETIMEDOUT, "Connection timed out")

    def sendall(self, *_):
        raise OSError(errno.EHOSTUNREACH, "No route to host")


@pytest.fixture
def connection():
    here, there = socket.socketpair()
    there.sendall(b" ")  # the kernel reports such an error as something to be read
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
        there.sendall(b" ")
        session.connection = Connection(Lost(fileno=here.detach()))
        status = client._answer(session, 0)
        there.close()
        assert attempts == [session]
    assert status == EXIT_NO_SERVER


@pytest.fixture
def pair():
    here, there = socket.socketpair()
    yield here, there
    here.close()
    there.close()


def shared_names(_batch):
    """What i-PI sends of three atoms in shared memory."""
    names = [f"ipi_shm_1234_56_{kind}".encode() for kind in ("pos", "h", "ih", "pot", "force")]
    parts = [struct.pack("i", len(name)) + name for name in names]
    return b"".join([struct.pack("i", 3), *parts])


def numbers(batch):
    """What i-PI sends of three atoms through a socket."""
    cells = np.tile(np.diag([9.1, 9.2, 9.3]).ravel(), 2 * batch).tobytes()
    count, positions = struct.pack("i", 3), np.full(9 * batch, 1.1).tobytes()
    return (cells + count if batch == 1 else count + cells) + positions


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize(
    ("kind", "sent", "sentence"),
    [
        (Connection, shared_names, "give --shm instead of --unix"),
        (SharedConnection, numbers, "give --unix or --address instead of --shm"),
    ],
    ids=["shared", "not shared"],
)
def test_the_other_way_of_sending_numbers_is_recognized(pair, batch, kind, sent, sentence):
    here, there = pair
    connection = kind(here)
    there.sendall(sent(batch))
    with pytest.raises(PetDriverError, match=sentence):
        connection.request(batch, 3)
    connection.close()


def test_a_signal_ends_the_wait_within_a_message(pair):
    here, there = pair
    connection = Connection(here, stopped=lambda: True)
    there.sendall(numbers(1)[:-8])
    with pytest.raises(ServerGoneError, match="stopped by a signal within a message"):
        connection.request(1, 3)
    connection.close()


def test_a_server_that_does_not_answer_is_not_waited_for_long():
    """As behind a firewall that drops what is sent: here the queue of connections is full."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            other = stack.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(server.getsockname())
        with pytest.raises(OSError, match="timed out"):
            Address(host="127.0.0.1", port=server.getsockname()[1]).connect(0.3)


def test_an_error_is_told_where_the_structures_cannot_be_written(tmp_path, monkeypatch, molecule):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pet_driver_failed.xyz").mkdir()
    service = Service(Committee(["water"], EvaluationOptions()), System.from_atoms(molecule))
    squeezed = np.zeros((1, 3, 3))
    with pytest.raises(PetDriverError, match=r"apart.*\(the structure could not be written"):
        service.evaluate(Request(np.zeros((1, 3, 3)), squeezed))
