"""Served to the real i-PI over real sockets."""

import re
import signal
import subprocess
import time
import uuid

import ase.io
import numpy as np
import pytest
from ipi_runs import Simulation

from helpers import environment, program
from pet_driver.units import BOHR, HARTREE

pytest.importorskip("ipi")


def test_every_quantity_equals_ase(tmp_path, model_file, potential, small_box):
    with Simulation(tmp_path, small_box) as simulation:
        code, errors = simulation.finish(simulation.drive(model_file))
        assert code == 0, errors
        first = simulation.properties()[0]
    prediction = potential.compute(small_box)
    assert first[1] == pytest.approx(prediction.energy, rel=1e-7)
    # i-PI's virial_md: xx yy zz xy xz yz of the virial over the volume, atomic units.
    volume = small_box.get_volume() / BOHR**3
    virial = prediction.virial[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]] / HARTREE / volume
    np.testing.assert_allclose(first[3:9], virial, rtol=1e-6, atol=1e-9)
    lines = (tmp_path / "simulation.frc_0.xyz").read_text().splitlines()[2:26]
    forces = np.array([[float(x) for x in line.split()[1:]] for line in lines])
    np.testing.assert_allclose(forces * HARTREE / BOHR, prediction.forces, atol=1e-5)


@pytest.mark.slow
def test_virial_by_finite_strain_through_ipi(tmp_path, model_file, small_box):
    """Energies that i-PI sees in strained cells give the virial that it sees in the unstrained."""
    step, seen = 1e-4, {}
    for sign in (-1, 0, 1):
        atoms = small_box.copy()
        atoms.set_cell(small_box.cell.array * (1 + sign * step), scale_atoms=True)
        folder = tmp_path / str(sign)
        folder.mkdir()
        with Simulation(folder, atoms, steps=1) as simulation:
            simulation.finish(simulation.drive(model_file))
            seen[sign] = simulation.properties()[0]
    trace = -(seen[1][1] - seen[-1][1]) / (2 * step)
    volume = small_box.get_volume() / BOHR**3
    assert volume * seen[0][3:6].sum() * HARTREE == pytest.approx(trace, rel=1e-4)


@pytest.mark.parametrize("batch", ["", "<batch_size> 4 </batch_size>"], ids=["single", "batched"])
def test_path_integrals(tmp_path, model_file, potential, molecule, batch):
    boxed = molecule.copy()
    boxed.set_cell([20.0] * 3)
    with Simulation(tmp_path, boxed, beads=6, steps=4, batch=batch) as simulation:
        code, errors = simulation.finish(simulation.drive(model_file))
        assert code == 0, errors
        table = simulation.properties()
    assert len(table) == 5
    # All beads start at the same place, free of the box: the template is not periodic.
    assert table[0, 1] == pytest.approx(potential.compute(molecule).energy, rel=1e-7)
    assert np.ptp(table[:, 2]) < 1e-2


def test_inet_socket(tmp_path, model_file, molecule):
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    boxed = molecule.copy()
    boxed.set_cell([20.0] * 3)
    changes = {"mode": "inet", "address": "127.0.0.1", "port": f"<port> {port} </port>"}
    with Simulation(tmp_path, boxed, **changes) as simulation:
        address = ["--host", "127.0.0.1", "--port", str(port)]
        code, errors = simulation.finish(simulation.drive(model_file, address=address))
        assert code == 0, errors
        assert len(simulation.properties()) == 3


@pytest.mark.parametrize("unread", [False, True], ids=["busy", "with unread messages"])
def test_a_killed_driver_is_replaced(tmp_path, model_file, small_box, unread):
    with Simulation(tmp_path, small_box, steps=30) as simulation:
        victim = simulation.drive(model_file)
        deadline = time.monotonic() + 60
        output = tmp_path / "simulation.out"
        while time.monotonic() < deadline:
            if output.exists() and sum(1 for _ in output.open()) > 8:
                break
            time.sleep(0.05)
        if unread:
            # Stopped, it reads nothing of what i-PI sends on.
            victim.send_signal(signal.SIGSTOP)
            time.sleep(1.0)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        code, errors = simulation.finish(simulation.drive(model_file))
        assert code == 0, errors
        assert len(simulation.properties()) == 31


def test_wrong_number_of_atoms(tmp_path, model_file, small_box, molecule):
    ase.io.write(tmp_path / "other.xyz", molecule, format="extxyz")
    with Simulation(tmp_path, small_box) as simulation:
        driver = simulation.drive(model_file, template="other.xyz")
        code, errors = simulation.finish(driver)
    assert code == 3
    assert "i-PI sent 24 atoms but the template has 3" in errors
    assert "Traceback" not in errors


@pytest.mark.slow
def test_shared_memory_against_a_socket(tmp_path, model_file, small_box):
    """The two flags are easily mistaken for one another; both sides would wait for ever."""
    with Simulation(tmp_path, small_box, mode="shm") as simulation:
        code, errors = simulation.finish(simulation.drive(model_file))
    assert code == 3
    assert "give --shm instead of --unix" in errors


def test_server_that_never_comes(tmp_path, model_file, molecule):
    ase.io.write(tmp_path / "init.xyz", molecule, format="extxyz")
    command = [program("pet-driver"), "ipi", str(model_file), "--template", "init.xyz"]
    command += ["--unix", f"nobody_{uuid.uuid4().hex[:8]}", "--wait", "0.5"]
    result = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 4
    assert re.search(r"no i-PI at /tmp/ipi_nobody_\w+ after 0.5 s", result.stderr)


def test_a_signal_ends_the_wait_for_a_server(tmp_path, model_file, molecule):
    ase.io.write(tmp_path / "init.xyz", molecule, format="extxyz")
    command = [program("pet-driver"), "ipi", str(model_file), "--template", "init.xyz"]
    command += ["--unix", f"nobody_{uuid.uuid4().hex[:8]}", "--wait", "600"]
    driver = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 60.0
        while not _handles(driver.pid, signal.SIGTERM) and time.monotonic() < deadline:
            time.sleep(0.1)
        driver.send_signal(signal.SIGTERM)
        _, errors = driver.communicate(timeout=30)
    finally:
        driver.kill()
        driver.wait()
    assert driver.returncode == 4
    assert "stopped by a signal while waiting for i-PI" in errors


def _handles(process_id: int, number: int) -> bool:
    """Whether a process has a handler for a signal."""
    with open(f"/proc/{process_id}/status") as status:
        caught = next(line.split()[1] for line in status if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (number - 1) & 1)
