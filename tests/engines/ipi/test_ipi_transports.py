"""All transports of i-PI, all outputs, and drivers or servers that are killed; with real i-PI."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import replace

import ase.io
import numpy as np
import psutil
import pytest
from ipi_runs import SHELL, Simulation

from helpers import MODERN, environment, program
from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import random_checkpoint, save_checkpoint
from pet_driver.units import BOHR, HARTREE

pytest.importorskip("ipi")


def simulation(folder, atoms, fields, forces=None, **changes):
    """`fields` may name the address as {address}."""
    values = {"nmts": "", "outputs": "", "beads": 1, "steps": 3}
    name = f"pet_test_{uuid.uuid4().hex[:8]}"
    values |= {"fields": fields.format(address=name), "address": name, **changes}
    values["forces"] = forces or "<force forcefield='pet'/>"
    started = Simulation(folder, atoms, text=SHELL, **values)
    started.name = name
    return started


def socket_field(name="pet", mode="unix", address="{address}", extra=""):
    return f"""<ffsocket name='{name}' mode='{mode}' pbc='False'>
      <address> {address} </address> <latency> 1e-4 </latency> {extra} </ffsocket>"""


def direct_field(path, **parameters):
    words = ", ".join(f"{key}: {value}" for key, value in parameters.items())
    return f"""<ffdirect name='pet'> <pes> custom </pes> <pes_path> {path} </pes_path>
      <parameters> {{{{ {words} }}}} </parameters> {{batch}} </ffdirect>"""


def pes_path():
    command = [program("pet-driver"), "ipi", "--pes-path"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def boxed(molecule):
    """A molecule free of the large box that i-PI needs: the template says so."""
    atoms = molecule.copy()
    atoms.set_cell([20.0] * 3)
    return atoms


def completed(started, driver, steps=3):
    code, errors = started.finish(driver)
    assert code == 0, errors
    table = started.properties()
    assert len(table) == steps + 1
    return table


@pytest.mark.parametrize("beads", [pytest.param(1, marks=pytest.mark.slow), 4])
@pytest.mark.parametrize("batch", ["", "<batch_size> 4 </batch_size>"], ids=["single", "batched"])
@pytest.mark.parametrize("mode", ["unix", "shm"])
def test_transports_say_the_same(tmp_path, model_file, potential, small_box, mode, batch, beads):
    field = socket_field(mode=mode, extra=batch)
    with simulation(tmp_path, small_box, field, beads=beads) as started:
        driver = started.drive(model_file, address=[f"--{mode}", started.name])
        table = completed(started, driver)
    expected = potential.compute(small_box)
    assert table[0, 1] == pytest.approx(expected.energy, rel=1e-7)
    # i-PI's virial_md is the sum over the beads.
    volume = small_box.get_volume() / BOHR**3 / beads
    virial = expected.virial[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]] / HARTREE / volume
    np.testing.assert_allclose(table[0, 3:9], virial, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    "batch",
    [pytest.param("", marks=pytest.mark.slow), "<batch_size> 4 </batch_size>"],
    ids=["single", "batched"],
)
def test_in_process(tmp_path, model_file, potential, small_box, batch):
    field = direct_field(pes_path(), template="init.xyz", model=model_file, dtype="float64")
    beads = 4 if batch else 1
    field = field.replace("{batch}", batch)
    with simulation(tmp_path, small_box, field, beads=beads) as started:
        table = started.properties()
    assert len(table) == 4
    assert table[0, 1] == pytest.approx(potential.compute(small_box).energy, rel=1e-7)


@pytest.mark.slow
def test_official_driver_with_our_file(tmp_path, model_file, potential, small_box):
    with simulation(tmp_path, small_box, socket_field()) as started:
        time.sleep(2.0)  # the official driver does not wait for the server
        command = [program("i-pi-py_driver"), "-m", "custom", "-P", pes_path(), "-u"]
        command += ["-a", started.name, "-o", f"template=init.xyz,model={model_file},dtype=float64"]
        started.drivers.append(started._start(*command))
        table = started.properties()
    assert table[0, 1] == pytest.approx(potential.compute(small_box).energy, rel=1e-7)


def test_fast_and_slow_forces_from_one_process(tmp_path, model_file, potential, boxed, molecule):
    """Plain PET in the inner steps, the exact correction in the outer ones."""
    fields = socket_field("fast", address="{address}f") + socket_field("slow", address="{address}s")
    forces = "<force forcefield='slow'> <mts_weights> [1,0] </mts_weights> </force>"
    forces += "<force forcefield='fast'> <mts_weights> [0,1] </mts_weights> </force>"
    changes = {"nmts": "<nmts> [1,4] </nmts>"}
    with simulation(tmp_path, boxed, fields, forces, **changes) as started:
        addresses = ["--unix", started.name + "f", "--unix", started.name + "s"]
        outputs = ["--output", "plain", "--output", "difference"]
        driver = started.drive(model_file, address=addresses, options=outputs)
        code, errors = started.finish(driver)
        assert code == 0, errors
        assert len(started.properties()) == 4
    # mts_weights of both sum to 1: i-PI's potential is that of ECSE.
    first = np.loadtxt(tmp_path / "simulation.out", ndmin=2)[0]
    assert first[1] == pytest.approx(potential.compute(molecule).energy, rel=1e-7)
    plain = potential.plain().compute(molecule).energy
    assert abs(plain - potential.compute(molecule).energy) > 1e-3


@pytest.mark.slow
def test_contraction_of_the_correction(tmp_path, model_file, boxed):
    """Plain PET on all beads, the correction on one."""
    fields = socket_field("fast", address="{address}f") + socket_field("slow", address="{address}s")
    forces = "<force forcefield='fast'/> <force forcefield='slow' nbeads='1'/>"
    with simulation(tmp_path, boxed, fields, forces, beads=4) as started:
        addresses = ["--unix", started.name + "f", "--unix", started.name + "s"]
        outputs = ["--output", "plain", "--output", "difference"]
        driver = started.drive(model_file, address=addresses, options=outputs)
        table = completed(started, driver)
    assert np.ptp(table[:, 2]) < 1e-2


def test_committee(tmp_path, boxed, molecule):
    """i-PI's own committee accepts energies and nested forces, and has the mean."""
    files = []
    for seed in (1, 2, 3):
        files.append(tmp_path / f"{seed}.safetensors")
        save_checkpoint(random_checkpoint(MODERN, seed=seed), files[-1])
    energies = [Potential(random_checkpoint(MODERN, seed=k), dtype="float64") for k in (1, 2, 3)]
    energies = [potential.compute(molecule).energy for potential in energies]
    field = f"<ffcommittee name='pet'> <parse_json> True </parse_json> {socket_field('a')}"
    field += "</ffcommittee>"
    names = ("committee_pot", "committee_uncertainty")
    outputs = "".join(
        f"<trajectory filename='{name}' stride='1' extra_type='{name}'> extras </trajectory>"
        for name in names
    )
    with simulation(tmp_path, boxed, field, outputs=outputs) as started:
        driver = started.drive(*files, options=["--extras", "committee_force,energies"])
        table = completed(started, driver)
    assert table[0, 1] == pytest.approx(np.mean(energies), rel=1e-6)
    lines = (tmp_path / "simulation.committee_pot_0").read_text().splitlines()
    found = [float(x) for x in lines[1].split()]
    np.testing.assert_allclose(np.array(found) * HARTREE, energies, rtol=1e-6)


def test_extras(tmp_path, boxed, molecule):
    hyper = replace(MODERN, properties=(("dipole", 1),))
    path = tmp_path / "dipole.safetensors"
    checkpoint = random_checkpoint(hyper)
    save_checkpoint(checkpoint, path)
    outputs = "<trajectory filename='raw' stride='1' extra_type='raw'> extras </trajectory>"
    with simulation(tmp_path, boxed, socket_field(), outputs=outputs) as started:
        driver = started.drive(path, options=["--extras", "energies,dipole,symmetry_spread"])
        completed(started, driver)
    text = (tmp_path / "simulation.raw_0").read_text()
    # i-PI prints a Python dictionary, with our text under "raw".
    start = text.index("['{") + 2
    extras = json.loads(text[start : text.index("}", start) + 1])
    expected = Potential(checkpoint, dtype="float64").compute(molecule)
    np.testing.assert_allclose(np.array(extras["energies"]) * HARTREE, expected.energies, rtol=1e-6)
    np.testing.assert_allclose(
        np.array(extras["dipole"]) * BOHR, expected.total("dipole"), rtol=1e-5, atol=1e-8
    )
    assert len(extras["symmetry_spread"]) == 3
    assert max(extras["symmetry_spread"]) > 0.0


def test_left_handed_cells_and_positions_out_of_the_cell(model_file, potential, small_box):
    """Structures as i-PI's averages over rotations send them, given to the service directly."""
    from pet_driver.engines.ipi.committee import Committee
    from pet_driver.engines.ipi.messages import Request
    from pet_driver.engines.ipi.service import Service
    from pet_driver.evaluation.options import EvaluationOptions
    from pet_driver.graph import System

    committee = Committee([str(model_file)], EvaluationOptions(dtype="float64"))
    service = Service(committee, System.from_atoms(small_box))
    mirror = np.diag([1.0, 1.0, -1.0])
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    turn *= np.linalg.det(turn)
    cells = [small_box.cell.array @ turn.T, small_box.cell.array @ mirror]
    moved = small_box.positions + np.array([[2, -1, 3]]) @ small_box.cell.array
    positions = [moved @ turn.T, small_box.positions @ mirror]
    turned, mirrored = service.evaluate(Request(np.array(cells), np.array(positions)))
    expected = potential.compute(small_box)
    assert turned.energy == pytest.approx(expected.energy, rel=1e-10)
    np.testing.assert_allclose(turned.forces, expected.forces @ turn.T, atol=1e-8)
    np.testing.assert_allclose(turned.virial, turn @ expected.virial @ turn.T, atol=1e-7)
    reflected = small_box.copy()
    reflected.set_cell(cells[1])
    reflected.set_positions(positions[1])
    assert mirrored.energy == pytest.approx(potential.compute(reflected).energy, rel=1e-10)
    assert np.linalg.det(cells[1]) < 0.0


@pytest.mark.slow
def test_driver_before_the_server(tmp_path, model_file, boxed):
    name = f"pet_test_{uuid.uuid4().hex[:8]}"
    ase.io.write(tmp_path / "init.xyz", boxed, format="extxyz")
    command = [program("pet-driver"), "ipi", str(model_file), "--template", "init.xyz"]
    early = subprocess.Popen(
        [*command, "--unix", name, "--wait", "60"],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        time.sleep(3.0)
        field = socket_field(address=name)
        with simulation(tmp_path, boxed, field) as started:
            started.name = name
            assert len(started.properties()) == 4
            _, errors = early.communicate(timeout=60)
    finally:
        early.kill()
        early.wait()
    assert early.returncode == 0, errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("patience", "reconnect"), [("", "0"), ("<timeout> 2 </timeout>", "1")], ids=["waits", "drops"]
)
def test_a_slow_driver(tmp_path, model_file, small_box, patience, reconnect):
    """It takes six seconds for one structure. i-PI waits for it; or, with a timeout, closes the
    connection, and uses the driver again when that reconnects."""
    field = socket_field(extra=patience)
    with simulation(tmp_path, small_box, field, steps=40) as started:
        driver = started.drive(model_file, options=["--reconnect", reconnect])
        deadline, output = time.monotonic() + 60, tmp_path / "simulation.out"
        while time.monotonic() < deadline:
            if output.exists() and sum(1 for _ in output.open()) > 12:
                break
            time.sleep(0.02)
        driver.send_signal(signal.SIGSTOP)
        time.sleep(6.0)
        assert driver.poll() is None
        driver.send_signal(signal.SIGCONT)
        completed(started, driver, steps=40)


@pytest.mark.slow
def test_two_drivers(tmp_path, model_file, small_box):
    with simulation(tmp_path, small_box, socket_field(), beads=4, steps=5) as started:
        drivers = [started.drive(model_file) for _ in range(2)]
        for driver in drivers:
            code, errors = started.finish(driver)
            assert code == 0, errors
        assert len(started.properties()) == 6


@pytest.mark.parametrize("mode", [pytest.param("unix", marks=pytest.mark.slow), "shm"])
def test_a_killed_server_ends_the_driver(tmp_path, model_file, small_box, mode):
    field = socket_field(mode=mode)
    with simulation(tmp_path, small_box, field, steps=100000) as started:
        driver = started.drive(model_file, address=[f"--{mode}", started.name])
        _wait_for_steps(tmp_path, 5)
        started.server.send_signal(signal.SIGKILL)
        begun = time.monotonic()
        _, errors = driver.communicate(timeout=30)
    assert time.monotonic() - begun < 10.0
    assert driver.returncode in (0, 4)
    assert "closed the connection" in errors or "broke" in errors


def _wait_for_steps(folder, count):
    deadline = time.monotonic() + 60
    output = folder / "simulation.out"
    while time.monotonic() < deadline:
        if output.exists() and sum(1 for _ in output.open()) > count + 10:
            return
        time.sleep(0.05)
    raise AssertionError("i-PI made no steps")


@pytest.mark.slow
def test_reconnects_to_the_next_server(tmp_path, model_file, boxed):
    name = f"pet_test_{uuid.uuid4().hex[:8]}"
    field = socket_field(address=name)
    with simulation(tmp_path, boxed, field) as first:
        first.name = name
        driver = first.drive(model_file, options=["--reconnect", "1"])
        assert len(first.properties()) == 4
        folder = tmp_path / "second"
        folder.mkdir()
        with simulation(folder, boxed, field) as second:
            second.name = name
            assert len(second.properties()) == 4
            code, errors = first.finish(driver)
    assert code == 0, errors


@pytest.mark.slow
def test_a_signal_ends_the_driver_and_leaves_the_server_alive(tmp_path, model_file, small_box):
    with simulation(tmp_path, small_box, socket_field(), steps=40) as started:
        first = started.drive(model_file)
        _wait_for_steps(tmp_path, 3)
        first.send_signal(signal.SIGTERM)
        code, errors = started.finish(first)
        assert code == 0
        assert "stopped by a signal" in errors
        code, errors = started.finish(started.drive(model_file))
        assert code == 0, errors
        assert len(started.properties()) == 41


@pytest.mark.slow
def test_a_silent_server_is_left_and_costs_nothing(tmp_path, model_file, boxed):
    import socket

    path = f"/tmp/ipi_pet_test_{uuid.uuid4().hex[:8]}"
    ase.io.write(tmp_path / "init.xyz", boxed, format="extxyz")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(1)
        command = [program("pet-driver"), "ipi", str(model_file), "--template", "init.xyz"]
        command += ["--unix", path.removeprefix("/tmp/ipi_"), "--idle", "3"]
        driver = subprocess.Popen(
            command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True
        )
        try:
            server.settimeout(60)
            connection, _ = server.accept()
            before = psutil.Process(driver.pid).cpu_times()
            time.sleep(1.5)
            after = psutil.Process(driver.pid).cpu_times()
            _, errors = driver.communicate(timeout=30)
            connection.close()
        finally:
            driver.kill()
            driver.wait()
            os.unlink(path)
    assert driver.returncode == 4
    assert "no message for 3 s" in errors
    assert after.user + after.system - before.user - before.system < 0.3


def test_absurd_forces_are_refused(tmp_path, model_file, boxed):
    with simulation(tmp_path, boxed, socket_field()) as started:
        driver = started.drive(model_file, options=["--most-force", "1e-6"])
        code, errors = started.finish(driver)
    assert code == 3
    assert "raise --most-force" in errors
    assert (tmp_path / "pet_driver_failed.xyz").exists()
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--unix", "a", "--output", "best"], "--output is 'best'"),
        (["--unix", "a", "--unix", "b", *["--output", "plain"] * 3], "3 --output for 2 addresses"),
        (["--unix", "a", "--scope", "none", "--output", "difference"], "is zero in scope none"),
        (["--unix", "a", "--extras", "color"], "--extras names 'color'"),
        (["--unix", "a", "--extras", "dipole"], "has no dipole"),
    ],
)
def test_wrong_options(tmp_path, model_file, molecule, capsys, options, sentence):
    from pet_driver.cli.main import main

    ase.io.write(tmp_path / "init.xyz", molecule, format="extxyz")
    template = ["--template", str(tmp_path / "init.xyz")]
    assert main(["ipi", str(model_file), *template, *options]) == 2
    assert sentence in capsys.readouterr().err


def test_ase_as_server(tmp_path, model_file, potential, small_box):
    from ase.calculators.socketio import SocketIOCalculator

    name = f"pet_test_{uuid.uuid4().hex[:8]}"
    ase.io.write(tmp_path / "init.xyz", small_box, format="extxyz")
    command = [sys.executable, program("pet-driver"), "ipi", str(model_file)]
    command += ["--template", "init.xyz", "--unix", name, "--dtype", "float64"]
    driver = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True
    )
    try:
        with SocketIOCalculator(unixsocket=name, timeout=60) as calculator:
            atoms = small_box.copy()
            atoms.calc = calculator
            expected = potential.compute(small_box)
            assert atoms.get_potential_energy() == pytest.approx(expected.energy, rel=1e-7)
            np.testing.assert_allclose(atoms.get_forces(), expected.forces, rtol=1e-6, atol=1e-6)
            stress = expected.stress(atoms.get_volume())
            np.testing.assert_allclose(atoms.get_stress(voigt=False), stress, rtol=1e-6, atol=1e-8)
        _, errors = driver.communicate(timeout=30)
    finally:
        driver.kill()
        driver.wait()
    assert driver.returncode == 0, errors
