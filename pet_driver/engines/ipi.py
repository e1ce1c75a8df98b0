"""The i-PI client: serves energies, forces and virials to a running i-PI."""

from __future__ import annotations

import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np

from ..errors import PetDriverError
from ..potential import Potential, Prediction
from ..structure import System
from .ipi_protocol import Connection, Request, ServerGoneError

EXIT_NO_RESULT = 3
EXIT_NO_SERVER = 4
_SECONDS_BETWEEN_LINES = 10.0


@dataclass(frozen=True)
class Address:
    """Where i-PI listens: a unix socket (path), or host and port."""

    path: str | None = None
    host: str = "localhost"
    port: int = 31415

    def __str__(self) -> str:
        return self.path if self.path is not None else f"{self.host}:{self.port}"

    def connect(self) -> socket.socket:
        """
        :raises OSError: if nobody listens there
        """
        if self.path is None:
            stream = socket.create_connection((self.host, self.port))
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return stream
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            stream.connect(self.path)
        except OSError:
            stream.close()
            raise
        return stream


class Client:
    """Answers i-PI's requests until it says EXIT.

    :param template: gives the elements, in i-PI's order, and the periodicity of each direction
    :param address: where i-PI listens
    :param wait: seconds to wait for the server to appear
    """

    def __init__(
        self, potential: Potential, template: System, address: Address, wait: float = 60.0
    ) -> None:
        self.potential, self.template, self.address, self.wait = potential, template, address, wait
        self.requests = self.structures = 0
        self._in_model = 0.0

    def run(self) -> int:
        """Serve; returns the exit code: 0 after EXIT, 3 without a valid result, 4 without a
        server."""
        # A connected driver that does not answer stalls i-PI, so the model is warm before.
        self.potential.compute(self.template)
        stream = self._connect()
        if stream is None:
            _say(
                f"no i-PI at {self.address} after {self.wait:g} s; "
                "start i-PI first, or check the address in its input"
            )
            return EXIT_NO_SERVER
        connection = Connection(stream)
        try:
            self._serve(connection)
        except (ServerGoneError, BrokenPipeError, ConnectionResetError) as error:
            _say(error)
            return EXIT_NO_SERVER
        finally:
            connection.close()
        return 0

    def _connect(self) -> socket.socket | None:
        deadline, pause = time.monotonic() + self.wait, 0.1
        while True:
            try:
                return self.address.connect()
            except OSError:
                if time.monotonic() > deadline:
                    return None
            time.sleep(pause)
            pause = min(2.0 * pause, 2.0)

    def _serve(self, connection: Connection) -> None:
        batch_size: int | None = None
        results: list[Prediction] | None = None
        started = printed = time.monotonic()
        while True:
            header = connection.header()
            if header == "STATUS":
                ready = "READY" if results is None else "HAVEDATA"
                connection.send_status("NEEDINIT" if batch_size is None else ready)
            elif header == "INIT":
                batch_size = connection.initialization()
            elif header == "POSDATA":
                request = connection.request(batch_size or 1, len(self.template))
                connection.read_ahead()
                results = self._evaluate(request)
            elif header == "GETFORCE":
                if results is None:
                    raise PetDriverError("i-PI asked for forces before it sent positions")
                connection.send_results(results, [b""] * len(results))
                results = None
                if time.monotonic() - printed > _SECONDS_BETWEEN_LINES:
                    printed = time.monotonic()
                    _say(self._rates(printed - started))
            elif header == "EXIT":
                _say(f"i-PI says EXIT; {self._rates(time.monotonic() - started)}")
                return
            else:
                raise PetDriverError(f"i-PI sent {header!r}, which is no message of its protocol")

    def _evaluate(self, request: Request) -> list[Prediction]:
        """Evaluate the structures of a request in one batch; repeated ones at its end only once."""
        before = time.monotonic()
        last = len(request.positions) - 1
        while last > 0 and _same(request, last, last - 1):
            last -= 1
        systems = [
            System(self.template.numbers, positions, cell, self.template.pbc)
            for positions, cell in zip(request.positions, request.cells, strict=True)
        ][: last + 1]
        try:
            predictions = self.potential.compute(systems)
        except PetDriverError as error:
            path = _dump(systems)
            raise PetDriverError(f"{error} (the structures are in {path})") from error
        self.requests += 1
        self.structures += len(systems)
        self._in_model += time.monotonic() - before
        return predictions + [predictions[-1]] * (len(request.positions) - last - 1)

    def _rates(self, seconds: float) -> str:
        share = self._in_model / max(seconds, 1e-9)
        return (
            f"{self.requests} requests, {self.structures} structures, "
            f"{self.structures / max(seconds, 1e-9):.2f} structures/s, {share:.0%} in the model"
        )


def _same(request: Request, a: int, b: int) -> bool:
    return np.array_equal(request.positions[a], request.positions[b]) and np.array_equal(
        request.cells[a], request.cells[b]
    )


def _dump(systems: list[System]) -> Path:
    path = Path("pet_driver_failed.xyz").resolve()
    ase.io.write(path, [system.to_atoms() for system in systems], format="extxyz")
    return path


def _say(message: object) -> None:
    print(f"pet-driver ipi: {message}", file=sys.stderr, flush=True)
