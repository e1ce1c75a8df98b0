"""`<ffmpi>`: i-PI and its drivers in one MPI job, for real."""

import subprocess

import numpy as np
import pytest
from ipi_runs import SHELL, assert_job_succeeded

from helpers import environment, open_mpi, program
from pet_driver.units import BOHR, HARTREE

pytest.importorskip("ipi")
pytest.importorskip("mpi4py")


def run(folder, atoms, drivers, fields="<ffmpi name='pet'/>", forces=None, beads=1, mpi=None):
    """
    :param drivers: (number of ranks, words) of each kind of driver
    :param mpi: mpiexec and environment; None: those of the MPICH wheel
    """
    mpiexec, variables = mpi or (program("mpiexec"), environment())
    atoms.write(folder / "init.xyz", format="extxyz")
    forces = forces or "<force forcefield='pet'/>"
    text = SHELL.format(fields=fields, forces=forces, beads=beads, steps=3, nmts="", outputs="")
    (folder / "input.xml").write_text(text)
    command = [mpiexec, "-n", "1", program("i-pi"), "input.xml"]
    for ranks, words in drivers:
        command += [":", "-n", ranks, program("pet-driver"), "ipi", "--dtype", "float64"]
        command += ["--template", "init.xyz", "--mpi", *words]
    return subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
    )


def assert_first_step(folder, prediction, atoms, beads=1):
    table = np.loadtxt(folder / "simulation.out", ndmin=2)
    assert len(table) == 4
    assert table[0, 1] == pytest.approx(prediction.energy, rel=1e-7)
    volume = atoms.get_volume() / BOHR**3 / beads
    virial = prediction.virial[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]] / HARTREE / volume
    np.testing.assert_allclose(table[0, 3:9], virial, rtol=1e-6, atol=1e-9)
    lines = next(folder.glob("simulation.frc_0*")).read_text().splitlines()[2 : 2 + len(atoms)]
    forces = np.array([line.split()[1:] for line in lines], dtype=float) * HARTREE / BOHR
    np.testing.assert_allclose(forces, prediction.forces, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("batch", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_several_ranks_serve_beads(tmp_path, model_file, potential, small_box, batch):
    fields = f"<ffmpi name='pet'> <batch_size> {batch} </batch_size> </ffmpi>"
    result = run(tmp_path, small_box, [(2, [model_file])], fields, beads=4)
    assert_job_succeeded(result)
    assert_first_step(tmp_path, potential.compute(small_box), small_box, beads=4)


@pytest.mark.slow
def test_ranks_of_open_mpi_serve_beads(tmp_path, model_file, potential, small_box):
    result = run(tmp_path, small_box, [(2, [model_file])], beads=4, mpi=open_mpi())
    assert_job_succeeded(result)
    assert_first_step(tmp_path, potential.compute(small_box), small_box, beads=4)


@pytest.mark.slow
def test_two_forcefields_by_name(tmp_path, model_file, potential, small_box):
    """Plain PET and the correction, each from a rank of its own."""
    drivers = [
        (1, [model_file, "--output", "plain", "--mpi-name", "fast"]),
        (1, [model_file, "--output", "difference", "--mpi-name", "slow"]),
    ]
    forces = "<force forcefield='fast'/> <force forcefield='slow'/>"
    result = run(tmp_path, small_box, drivers, "<ffmpi name='fast'/> <ffmpi name='slow'/>", forces)
    assert_job_succeeded(result)
    assert_first_step(tmp_path, potential.compute(small_box), small_box)


@pytest.mark.parametrize(
    ("words", "sentence", "code"),
    [
        (["nowhere.safetensors"], "there is no model", 2),
        (["MODEL", "--most-force", "1e-9"], "more than 1e-09", 2),
        (["MODEL", "--unix", "also"], "--mpi stands alone", 2),
        (["MODEL", "--outptu", "plain"], "--outptu", 2),
        ([], "give a MODEL", 2),
    ],
)
def test_what_cannot_be_served_ends_the_job(tmp_path, model_file, small_box, words, sentence, code):
    words = [model_file if word == "MODEL" else word for word in words]
    result = run(tmp_path, small_box, [(1, words)])
    assert result.returncode == code
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


def test_a_structure_of_other_size_ends_the_job(tmp_path, model_file, small_box):
    small_box[:3].write(tmp_path / "other.xyz", format="extxyz")
    words = [model_file, "--template", "other.xyz"]
    result = run(tmp_path, small_box, [(1, words)])
    assert result.returncode == 3
    assert f"i-PI sent {len(small_box)} atoms but the template has 3" in result.stderr


def test_without_ipi(tmp_path, model_file, molecule):
    molecule.write(tmp_path / "init.xyz", format="extxyz")
    command = [program("pet-driver"), "ipi", str(model_file), "--template", "init.xyz", "--mpi"]
    result = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 2
    assert "--mpi needs i-PI as rank 0" in result.stderr
