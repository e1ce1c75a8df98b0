"""`pet-driver mdi` beside a driver in a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from helpers import environment, program
from pet_driver.cli.main import main
from pet_driver.engines.mdi.address import Address
from pet_driver.engines.mdi.received import Received
from pet_driver.errors import PetDriverError

# By the constants of MDI's library, CODATA 2014.
BOHR, HARTREE = 0.52917721067, 27.21138602
SECONDS = 120


@pytest.fixture
def run_mdi(tmp_path, model_file):
    """`run_mdi(steps, *options)`: exit codes, standard error and results of engine and driver."""
    pytest.importorskip("mdi", reason="pymdi is not installed")
    started = []

    def start(words):
        process = subprocess.Popen(
            words,
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    def run(steps, *options, during=None):
        port = free_port()
        (tmp_path / "steps.json").write_text(json.dumps(steps))
        script = str(Path(__file__).parent / "mdi_script.py")
        driver = start([sys.executable, script, str(port), "steps.json", "results.json"])
        words = ["--port", str(port), "--dtype", "float64", "--most-force", "1e6", *options]
        engine = start([program("pet-driver"), "mdi", str(model_file), *words])
        if during is not None:
            during(engine, driver)
        _, errors = engine.communicate(timeout=SECONDS)
        results = tmp_path / "results.json"
        driver.communicate(timeout=SECONDS)
        found = json.loads(results.read_text()) if results.exists() else None
        return engine.returncode, driver.returncode, errors, found

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def system_steps(atoms, cell=True):
    """What LAMMPS sends of a new system."""
    steps = [["send", ">NATOMS", "int", [len(atoms)]]]
    if cell:
        steps.append(["send", ">CELL_DISPL", "double", [0.5, 0.0, -0.5]])
        steps.append(["send", ">CELL", "double", (atoms.cell.array / BOHR).ravel().tolist()])
    return [*steps, ["send", ">ELEMENTS", "int", atoms.numbers.tolist()]]


def positions_step(atoms):
    return ["send", ">COORDS", "double", (atoms.positions / BOHR).ravel().tolist()]


def asking(atoms, stress=True):
    steps = [["ask", "<ENERGY", 1], ["ask", "<FORCES", 3 * len(atoms)]]
    return [*steps, ["ask", "<STRESS", 9]] if stress else steps


def sentence(errors):
    """The one line of an error, beside those that report what goes on."""
    lines = [line for line in errors.splitlines() if not line.startswith("pet-driver mdi: ")]
    assert len(lines) == 1, errors
    assert lines[0].startswith("pet-driver: ")
    return lines[0]


def assert_close(found, wanted):
    wanted = np.ravel(wanted)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9 * np.abs(wanted).max())


def test_numbers_are_those_of_the_potential(run_mdi, potential, small_box):
    moved = small_box.copy()
    moved.rattle(0.03, seed=1)
    swollen = moved.copy()
    swollen.set_cell(1.03 * moved.cell, scale_atoms=True)
    steps = [["commands"], *system_steps(small_box)]
    steps += [positions_step(small_box), *asking(small_box), ["ask", "<PE", 1]]
    steps += [positions_step(moved), *asking(moved)]
    steps += [["send", ">CELL", "double", (swollen.cell.array / BOHR).ravel().tolist()]]
    steps += [positions_step(swollen), *asking(swollen), ["ask", "<@", 0]]
    steps += [["ask", "<NATOMS", 1], ["ask", "<ELEMENTS", 24], ["ask", "<COORDS", 72]]
    steps += [["ask", "<CELL", 9], ["ask", "<CELL_DISPL", 3]]
    engine, driver, errors, found = run_mdi(steps)
    assert (engine, driver) == (0, 0), errors
    assert "served 3 structures" in errors
    for index, atoms in enumerate([small_box, moved, swollen]):
        wanted = potential.compute(atoms)
        assert_close(found["<ENERGY"][index], wanted.energy / HARTREE)
        assert_close(found["<FORCES"][index], wanted.forces * BOHR / HARTREE)
        # Positive where the atoms push outwards: minus the stress of ASE.
        stress = -wanted.stress(atoms.get_volume())
        assert_close(found["<STRESS"][index], stress * BOHR**3 / HARTREE)
    assert found["<PE"] == found["<ENERGY"][:1]
    assert found["<@"] == ["@DEFAULT"]
    assert (found["<NATOMS"], found["<ELEMENTS"]) == ([24], [small_box.numbers.tolist()])
    assert_close(found["<COORDS"][0], swollen.positions / BOHR)
    assert_close(found["<CELL"][0], swollen.cell.array / BOHR)
    assert_close(found["<CELL_DISPL"][0], [0.5, 0.0, -0.5])
    # What `fix mdi/qm` looks for.
    needed = {">NATOMS", ">CELL", ">CELL_DISPL", ">ELEMENTS", ">TYPES", ">COORDS", "EXIT"}
    assert needed | {"<ENERGY", "<PE", "<FORCES", "<STRESS"} <= set(found["commands"])


@pytest.mark.slow
def test_stress_is_the_derivative_of_the_energy(run_mdi, small_box):
    """By the driver's own numbers alone, so that neither sign nor unit is taken from this code."""
    strain, steps = 1e-4, [*system_steps(small_box), positions_step(small_box)]
    steps.append(["ask", "<STRESS", 9])
    for factor in (1 - strain, 1 + strain):
        atoms = small_box.copy()
        atoms.set_cell(factor * atoms.cell, scale_atoms=True)
        steps += [["send", ">CELL", "double", (atoms.cell.array / BOHR).ravel().tolist()]]
        steps += [positions_step(atoms), ["ask", "<ENERGY", 1]]
    engine, _, errors, found = run_mdi(steps)
    assert engine == 0, errors
    less, more = found["<ENERGY"]
    volume = small_box.get_volume() / BOHR**3
    trace = np.trace(np.reshape(found["<STRESS"][0], (3, 3)))
    assert trace * volume == pytest.approx(-(more - less) / (2 * strain), rel=1e-4)


@pytest.mark.slow
def test_molecule_without_cell_and_types(run_mdi, potential, molecule):
    steps = [["send", ">NATOMS", "int", [3]], ["send", ">TYPES", "int", [2, 1, 1]]]
    steps += [positions_step(molecule), *asking(molecule, stress=False)]
    engine, _, errors, found = run_mdi(steps, "--elements", "H,O")
    assert engine == 0, errors
    wanted = potential.compute(molecule)
    assert_close(found["<ENERGY"][0], wanted.energy / HARTREE)
    assert_close(found["<FORCES"][0], wanted.forces * BOHR / HARTREE)


@pytest.mark.slow
def test_two_systems_one_after_the_other(run_mdi, potential, small_box, molecule):
    steps = [*system_steps(molecule, cell=False), positions_step(molecule)]
    steps += [*asking(molecule, stress=False), *system_steps(small_box)]
    steps += [positions_step(small_box), *asking(small_box)]
    engine, _, errors, found = run_mdi(steps)
    assert engine == 0, errors
    for index, atoms in enumerate([molecule, small_box]):
        assert_close(found["<ENERGY"][index], potential.compute(atoms).energy / HARTREE)


NAN = [None] * 72
WRONG = {
    "unknown element": (
        [["send", ">ELEMENTS", "int", [79] * 24], *asking(range(24))],
        "the structure contains Au, but the model knows only H C O",
    ),
    "no element": (
        [["send", ">ELEMENTS", "int", [200] * 24], *asking(range(24))],
        "the atomic number 200 for atom 0",
    ),
    "too few elements": (
        [["send", ">ELEMENTS", "int", [1] * 23], *asking(range(24))],
        "sent 23 numbers with >ELEMENTS, but 24 belong to it",
    ),
    "too many positions": (
        [["send", ">COORDS", "double", [0.0] * 75], *asking(range(24))],
        "sent 75 numbers with >COORDS, but 72 belong to it",
    ),
    "many more positions": (
        [["send", ">COORDS", "double", [0.0] * 600_000], *asking(range(24))],
        "sent 600000 numbers with >COORDS",
    ),
    "integer positions": (
        [["send", ">COORDS", "int", [1] * 72], *asking(range(24))],
        "sent integers with >COORDS, where real numbers belong",
    ),
    "NaN": (
        [["send", ">COORDS", "double", NAN], *asking(range(24))],
        "the position of atom 0 (counted from 0) is [nan, nan, nan]",
    ),
    "flat cell": (
        [["send", ">CELL", "double", [1.0] * 9], *asking(range(24))],
        "the cell",
    ),
    "no atoms": ([["send", ">NATOMS", "int", [0]], ["ask", "<ENERGY", 1]], "sent 0 as >NATOMS"),
    "other count": (
        [["send", ">NATOMS", "int", [5]], ["ask", "<ENERGY", 1]],
        "sent no elements",
    ),
    "unknown command": ([["command", ">FORCES"], ["hang"]], "'>FORCES', which is not supported"),
    "death": ([["die"]], "closed the connection without EXIT"),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", list(WRONG))
def test_wrong_input_is_one_sentence(run_mdi, small_box, what):
    steps, expected = WRONG[what]
    before = [*system_steps(small_box), positions_step(small_box)]
    kill = (
        (lambda engine, driver: (engine.wait(SECONDS), driver.kill()))
        if "hang" in str(steps)
        else None
    )
    engine, driver, errors, _ = run_mdi([*before, *steps], during=kill)
    assert engine == 2, errors
    assert expected in sentence(errors)
    assert driver != 0  # it has not taken anything for a result


@pytest.mark.slow
def test_positions_in_angstrom_are_noticed(run_mdi, small_box):
    """Sent as if they were bohr: the atoms come twice as near."""
    steps = [*system_steps(small_box), positions_step(small_box)]
    for command, _, numbers in (step[1:] for step in steps):
        if command in (">CELL", ">COORDS"):
            numbers[:] = [BOHR * number for number in numbers]
    engine, driver, errors, _ = run_mdi([*steps, ["ask", "<ENERGY", 1]])
    assert engine == 2
    assert driver != 0
    assert "are 0.51 angstrom apart in the first structure" in sentence(errors)
    assert "that the driver sends bohr" in errors


@pytest.mark.slow
def test_large_forces_are_refused_and_written(run_mdi, small_box, tmp_path):
    steps = [*system_steps(small_box), positions_step(small_box), ["ask", "<ENERGY", 1]]
    engine, driver, errors, _ = run_mdi(steps, "--most-force", "1e-6")
    assert engine == 2
    assert driver != 0
    assert "more than 1e-06; look at the geometry" in sentence(errors)
    assert (tmp_path / "pet_driver_failed.xyz").exists()


@pytest.mark.slow
def test_stress_without_cell_is_refused(run_mdi, molecule):
    steps = [*system_steps(molecule, cell=False), positions_step(molecule), ["ask", "<STRESS", 9]]
    engine, _, errors, _ = run_mdi(steps)
    assert engine == 2
    assert "asked for <STRESS without having sent >CELL" in sentence(errors)


@pytest.mark.slow
def test_interrupt_ends_the_engine(run_mdi, request):
    # What a shell starts in the background, these tests perhaps, ignores this signal, and so does
    # what they start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))

    def interrupt(engine, driver):
        while "connected" not in engine.stderr.readline():
            assert engine.poll() is None
        time.sleep(0.5)
        os.kill(engine.pid, signal.SIGINT)
        engine.wait(SECONDS)
        driver.kill()

    engine, *_ = run_mdi([["hang"]], during=interrupt)
    assert engine == 130


def test_without_driver_it_gives_up(model_file, tmp_path):
    pytest.importorskip("mdi", reason="pymdi is not installed")
    port = str(free_port())
    result = subprocess.run(
        [program("pet-driver"), "mdi", str(model_file), "--port", port, "--wait", "1.5"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert result.returncode == 2
    assert f"no MDI driver answered at localhost:{port} within 1.5 s" in sentence(result.stderr)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "give --port"),
        (["--port", "99999"], "the port is 99999"),
        (["--port", "1", "-mdi", "-port 2"], "not both"),
        (["-mdi", "-role DRIVER -port 1"], "the role is DRIVER"),
        (["-mdi", "-method MPI -port 1"], "only TCP works"),
        (["-mdi", "-port one"], "has no port"),
        (["-mdi", "-speed fast -port 1"], "is not understood"),
        (["-mdi", "-port '1"], "open quotation mark"),
        (["--port", "1", "--elements", "H,Xx"], "--elements names 'Xx'"),
        (["--port", "1", "--elements", "H,Au"], "contains Au"),
    ],
)
def test_wrong_arguments(capsys, model_file, words, expected):
    assert main(["mdi", str(model_file), *words]) == 2
    assert expected in sentence(capsys.readouterr().err)


def test_words_of_mdi_are_read():
    words = "-role ENGINE -name QM -method TCP -hostname node7 -port 8021"
    assert Address.from_words(words) == Address(8021, "node7", "QM")
    assert Address(8021, "node7", "QM").words() == words


def test_system_that_may_be_periodic_is_refused():
    """A driver does not announce that its next system has no cell."""
    received = Received((1, 8))
    with pytest.raises(PetDriverError, match=">COORDS before >NATOMS"):
        received.count(">COORDS")
    received.begin(1)
    received.types = np.array([1], dtype=np.int32)
    with pytest.raises(PetDriverError, match="no >COORDS of the 1 atoms"):
        received.system()
    received.positions = np.zeros((1, 3))
    assert not received.system().pbc.any()
    received.place_cell(4.0 * np.eye(3))
    received.begin(1)  # before any evaluation with the cell, which therefore belongs to it
    assert received.system().pbc.all()
    received.begin(1)
    with pytest.raises(PetDriverError, match="sent no >CELL"):
        received.system()
    received.place_cell(5.0 * np.eye(3))
    assert received.system().cell[0, 0] == 5.0
    received.types = np.array([3], dtype=np.int32)
    with pytest.raises(PetDriverError, match="the atom type 3, and --elements names 2"):
        received.system()
