"""i-PI's `<ffmpi>`: driver ranks in one MPI job with i-PI, which is rank 0.

    mpiexec -n 1 i-pi input.xml : -n 2 pet-driver ipi water --template init.xyz --mpi

Tags and messages are those of i-PI 3.3. Each rank is a driver of its own; i-PI gives beads and
batches to those that are free.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from enum import IntEnum

import numpy as np
import numpy.typing as npt
from mpi4py import MPI

from ...errors import PetDriverError
from ...parallel.node import NodePlace
from .client import EXIT_NO_RESULT
from .messages import Reply, Request
from .service import Service

_COLOUR = 1000  # of the communicator of drivers; i-PI itself splits with 0
_BUSY = 0.002  # seconds of polling without a pause
_PAUSE = 0.0005  # seconds between two polls after that


class Tag(IntEnum):
    """Tag of a message, by its kind."""

    HELLO = 1
    INIT = 2
    WORK = 3
    RESULT = 4
    EXTRA = 5
    EXIT = 6


class MpiDriver:
    """Driver on one rank of an MPI job with i-PI.

    :param world: communicator of the job; i-PI is its rank 0
    :param open_service: makes the service, given the place of this rank on its node
    :param name: of the `<ffmpi>` that is served; needed if there are several
    """

    def __init__(
        self, world: MPI.Comm, open_service: Callable[[NodePlace], Service], name: str = ""
    ) -> None:
        self.world, self._open_service, self.name = world, open_service, name

    def run(self) -> int:
        """Serve until i-PI sends EXIT.

        :return: exit code: 0, or 3 without a valid result; for anything but 0 the caller must end
            the whole job, since i-PI waits for ever for a rank that leaves without a message
        :raises PetDriverError: if nothing can be served
        """
        if self.world.size < 2 or self.world.rank == 0:
            raise PetDriverError(
                "--mpi needs i-PI as rank 0 of the same job; start it as `mpiexec -n 1 i-pi "
                "input.xml : -n 1 pet-driver ipi ... --mpi`"
            )
        # i-PI takes part in this Split, alone with its colour.
        drivers = self.world.Split(_COLOUR, self.world.rank)
        service = self._open_service(NodePlace.find(drivers))
        service.warm_up()
        self._send_hello()
        try:
            while self._answer(service):
                pass
        except PetDriverError as error:
            print(f"pet-driver ipi: {error}", file=sys.stderr, flush=True)
            return EXIT_NO_RESULT
        return 0

    def _send_hello(self) -> None:
        hello = np.array([self.world.rank, 1, self.world.rank], dtype=np.int32)
        self.world.Send(hello, dest=0, tag=Tag.HELLO)
        self.world.Send(np.frombuffer(self.name.encode(), dtype=np.uint8), dest=0, tag=Tag.HELLO)

    def _answer(self, service: Service) -> bool:
        """Answer the next message; False after EXIT."""
        tag = self._wait()
        header = np.empty(1 if tag == Tag.EXIT else 2, dtype=np.int32)
        self.world.Recv(header, source=0, tag=tag)
        if tag == Tag.INIT:
            # Parameters of the input; the number of structures is in each WORK.
            self.world.Recv(np.empty(header[1], dtype=np.uint8), source=0, tag=tag)
        elif tag == Tag.WORK:
            n_atoms, n_structures = (int(x) for x in header)
            request = self._request(n_structures, n_atoms, len(service.template))
            self._send(service.evaluate(request))
        elif tag != Tag.EXIT:
            raise PetDriverError(f"i-PI sent a message with tag {tag}, which <ffmpi> does not use")
        return tag != Tag.EXIT

    def _request(self, n_structures: int, n_atoms: int, expected: int) -> Request:
        """Receive cells and positions.

        :param expected: number of atoms of the template
        """
        body = np.empty((n_structures, 18 + 3 * n_atoms))
        self.world.Recv(body, source=0, tag=Tag.WORK)
        if n_atoms != expected:
            raise PetDriverError(
                f"i-PI sent {n_atoms} atoms but the template has {expected}; "
                "use the structure of <initialize> as --template"
            )
        cells = body[:, :9].reshape(-1, 3, 3)  # the inverses follow
        positions = body[:, 18:].reshape(-1, n_atoms, 3)
        return Request.from_atomic_units(cells, positions)

    def _wait(self) -> int:
        """Wait for the next message and return its tag.

        MPI's own waiting would keep a core busy.
        """
        status = MPI.Status()
        started = time.monotonic()
        while not self.world.Iprobe(source=0, tag=MPI.ANY_TAG, status=status):
            if time.monotonic() - started > _BUSY:
                time.sleep(_PAUSE)
        return status.Get_tag()

    def _send(self, replies: list[Reply]) -> None:
        numbers: list[npt.NDArray[np.float64]] = []
        texts: list[bytes] = []
        for reply in replies:
            energy, forces, virial = reply.in_atomic_units()
            numbers += [np.array([energy]), forces.ravel(), virial.ravel()]
            texts += [np.int32(len(reply.text())).tobytes(), reply.text()]
        self.world.Send(np.concatenate(numbers), dest=0, tag=Tag.RESULT)
        self.world.Send(np.frombuffer(b"".join(texts), dtype=np.uint8), dest=0, tag=Tag.EXTRA)
