"""i-PI's own tests of its transports, with our client in place of its driver: a real FFSocket, in
this process, hands out requests; consolidated messages or not, batched or not."""

import socket
import subprocess
import threading
import time
import uuid

import numpy as np
import pytest

from helpers import environment, program
from pet_driver.engines.ipi.address import Address
from pet_driver.engines.ipi.client import Client
from pet_driver.engines.ipi.committee import Committee
from pet_driver.engines.ipi.service import Service
from pet_driver.evaluation.options import EvaluationOptions
from pet_driver.graph import System
from pet_driver.units import BOHR, HARTREE

pytest.importorskip("ipi")

MESSAGE_FORMATS = [
    pytest.param(1, True, id="single"),
    pytest.param(1, False, id="single, messages not consolidated"),
    pytest.param(4, True, id="batched"),
]


class Server:
    """i-PI's side of a transport.

    :param structures: all are queued at once, as beads are
    """

    def __init__(self, mode, batch, consolidated, structures):
        from ipi.engine.forcefields import FFSocket
        from ipi.interfaces.sockets import InterfaceSocket

        self.name, self.port = f"pet_test_{uuid.uuid4().hex[:8]}", 0
        if mode == "inet":
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        interface = InterfaceSocket(
            address="127.0.0.1" if mode == "inet" else self.name,
            port=self.port,
            mode=mode,
            consolidate_messages=consolidated,
            batch_size=batch,
        )
        self.field = FFSocket(latency=1e-4, name="pet", interface=interface, dopbc=False)
        self.structures, self.results = structures, []

    def run(self):
        from ipi.engine.atoms import Atoms
        from ipi.engine.cell import Cell

        self.field.start()
        try:
            requests = []
            for number, structure in enumerate(self.structures):
                atoms = Atoms(len(structure))
                atoms.q[:] = structure.positions.ravel() / BOHR
                cell = Cell(structure.cell.array.T / BOHR)
                requests.append(self.field.queue(atoms, cell, reqid=number))
            deadline = time.monotonic() + 60.0
            while any(request["status"] != "Done" for request in requests):
                if time.monotonic() > deadline:
                    return
                time.sleep(0.005)
            self.results = [request["result"] for request in requests]
        finally:
            self.field.stop()


@pytest.fixture
def structures(small_box):
    """Six of them, which four to a batch do not divide; the cell is triclinic."""
    found = []
    for seed in range(6):
        found.append(small_box.copy())
        found[-1].rattle(0.03, seed=seed)
    return found


def check(server, potential):
    assert len(server.results) == len(server.structures), "i-PI did not get all its results"
    for structure, (energy, forces, virial, _extras) in zip(
        server.structures, server.results, strict=True
    ):
        expected = potential.compute(structure)
        assert energy * HARTREE == pytest.approx(expected.energy, rel=1e-10)
        forces = np.array(forces).reshape(-1, 3) * HARTREE / BOHR
        np.testing.assert_allclose(forces, expected.forces, atol=1e-8)
        np.testing.assert_allclose(np.array(virial) * HARTREE, expected.virial, atol=1e-8)


@pytest.mark.parametrize(("batch", "consolidated"), MESSAGE_FORMATS)
@pytest.mark.parametrize("mode", ["unix", "inet"])
def test_round_trips(model_file, potential, structures, mode, batch, consolidated):
    server = Server(mode, batch, consolidated, structures)
    thread = threading.Thread(target=server.run)
    thread.start()
    path = f"/tmp/ipi_{server.name}" if mode == "unix" else None
    address = Address(path, "127.0.0.1", server.port)
    committee = Committee([str(model_file)], EvaluationOptions(dtype="float64"))
    service = Service(committee, System.from_atoms(structures[0]))
    assert Client([(address, service)], wait=30.0).run() == 0
    thread.join()
    check(server, potential)


@pytest.mark.slow
@pytest.mark.parametrize(("batch", "consolidated"), MESSAGE_FORMATS)
def test_round_trips_in_shared_memory(
    tmp_path, model_file, potential, structures, batch, consolidated
):
    """The client in a process of its own: two owners of shared memory in one do not go together."""
    structures[0].write(tmp_path / "init.xyz", format="extxyz")
    server = Server("shm", batch, consolidated, structures)
    command = [program("pet-driver"), "ipi", str(model_file), "--template", "init.xyz"]
    command += ["--shm", server.name, "--dtype", "float64"]
    client = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True
    )
    try:
        server.run()
        _, said = client.communicate(timeout=30)
    finally:
        client.kill()
        client.wait()
    assert client.returncode == 0, said
    check(server, potential)
