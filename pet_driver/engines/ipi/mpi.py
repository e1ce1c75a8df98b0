"""i-PI's `<ffmpi>`: driver ranks in one MPI job with i-PI, which is rank 0.

    mpiexec -n 1 i-pi input.xml : -n 2 pet-driver ipi water --template init.xyz --mpi

Tags and messages are those of i-PI 3.3. Each rank answers for itself; i-PI hands beads and batches
to whichever is free.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from enum import IntEnum

import numpy as np
from mpi4py import MPI

from ...errors import PetDriverError
from ...parallel.node import NodePlace
from .client import EXIT_NO_RESULT
from .service import Reply, Request, Service

_COLOUR = 1000  # i-PI itself is 0, its own drivers count from 1
_PATIENCE = 0.002  # seconds of polling without a pause
_NAP = 0.0005  # seconds between two looks after that


class Tag(IntEnum):
    """What a message is."""

    HELLO = 1
    INIT = 2
    WORK = 3
    RESULT = 4
    EXTRA = 5
    EXIT = 6


class MpiDriver:
    """One rank beside i-PI.

    :param world: i-PI is its rank 0
    :param open_service: called with the place of this rank on its node
    :param name: of the `<ffmpi>` that is served; needed if there are several
    """

    def __init__(
        self, world: MPI.Comm, open_service: Callable[[NodePlace], Service], name: str = ""
    ) -> None:
        self.world, self._open_service, self.name = world, open_service, name

    def run(self) -> int:
        """Serve until i-PI says EXIT.

        :return: exit code: 0, or 3 without a valid result; for anything but 0 the caller must end
            the whole job, since i-PI waits for ever for a rank that just leaves
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
        self._greet()
        try:
            while self._answer(service):
                pass
        except PetDriverError as error:
            print(f"pet-driver ipi: {error}", file=sys.stderr, flush=True)
            return EXIT_NO_RESULT
        return 0

    def _greet(self) -> None:
        hello = np.array([self.world.rank, 1, self.world.rank], dtype=np.int32)
        self.world.Send(hello, dest=0, tag=Tag.HELLO)
        self.world.Send(np.frombuffer(self.name.encode(), dtype=np.uint8), dest=0, tag=Tag.HELLO)

    def _answer(self, service: Service) -> bool:
        """Answer the next message; False after EXIT."""
        tag = self._wait()
        header = np.empty(1 if tag == Tag.EXIT else 2, dtype=np.int32)
        self.world.Recv(header, source=0, tag=tag)
        if tag == Tag.INIT:
            # Parameters of the input; each WORK says itself how many structures it has.
            self.world.Recv(np.empty(header[1], dtype=np.uint8), source=0, tag=tag)
        elif tag == Tag.WORK:
            n_atoms, n_structures = (int(x) for x in header)
            body = np.empty((n_structures, 18 + 3 * n_atoms))
            self.world.Recv(body, source=0, tag=tag)
            if n_atoms != len(service.template):
                raise PetDriverError(
                    f"i-PI sent {n_atoms} atoms but the template has {len(service.template)}; "
                    "use the structure of <initialize> as --template"
                )
            cells = body[:, :9].reshape(-1, 3, 3)
            positions = body[:, 18:].reshape(-1, n_atoms, 3)
            self._send(service.evaluate(Request.from_atomic_units(cells, positions)))
        elif tag != Tag.EXIT:
            raise PetDriverError(f"i-PI sent a message with tag {tag}, which is none of <ffmpi>'s")
        return tag != Tag.EXIT

    def _wait(self) -> int:
        """Tag of the next message. MPI's own waiting would keep a core busy."""
        status = MPI.Status()
        started = time.monotonic()
        while not self.world.Iprobe(source=0, tag=MPI.ANY_TAG, status=status):
            if time.monotonic() - started > _PATIENCE:
                time.sleep(_NAP)
        return status.Get_tag()

    def _send(self, replies: list[Reply]) -> None:
        numbers, texts = [], []
        for reply in replies:
            energy, forces, virial = reply.in_atomic_units()
            numbers += [[energy], forces.ravel(), virial.ravel()]
            texts += [np.int32(len(reply.text())).tobytes(), reply.text()]
        self.world.Send(np.concatenate(numbers), dest=0, tag=Tag.RESULT)
        self.world.Send(np.frombuffer(b"".join(texts), dtype=np.uint8), dest=0, tag=Tag.EXTRA)
