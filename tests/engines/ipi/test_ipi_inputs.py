"""The inputs for i-PI, run as their READMEs say, for a few steps."""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from dataclasses import replace

import ase.io
import numpy as np
import pytest
import torch
from ase.vibrations import Vibrations
from ipi_runs import assert_job_succeeded
from scipy.linalg import solve_continuous_lyapunov

from helpers import ROOT, environment, program
from pet_driver.engines.ase import PETCalculator
from pet_driver.evaluation.potential import load_model
from pet_driver.files.checkpoint import load_checkpoint, save_checkpoint
from pet_driver.units import BOHR, HARTREE

pytest.importorskip("ipi")

INPUTS = ROOT / "ipi_inputs"


def run_input(name, folder, steps=None, replaced=None):
    """Run in a copy; the driver's command is that of the README, with some words replaced."""
    shutil.copytree(INPUTS / name, folder)
    text = (folder / "input.xml").read_text()
    # Not by i-PI's sockets_prefix: a socket within <ffcommittee> ignores it.
    mark = f"_{uuid.uuid4().hex[:8]}"
    text = re.sub(r"<address> (\w+) <", rf"<address> \1{mark} <", text)
    if steps is not None:
        text = re.sub(r"<total_steps> \d+ <", f"<total_steps> {steps} <", text)
    (folder / "input.xml").write_text(text)
    command = re.search(r"pet-driver ipi ((?:.*\\\n)*.*)", (folder / "README.md").read_text())[1]
    words = command.replace("\\\n", " ").split()
    words = [str((replaced or {}).get(word, word)) for word in words]
    for index, word in enumerate(words[:-1]):
        if word in ("--unix", "--shm"):
            words[index + 1] += mark
    with (folder / "ipi.log").open("w") as log:
        server = subprocess.Popen(
            [program("i-pi"), "input.xml"], cwd=folder, stdout=log, stderr=log, env=environment()
        )
        try:
            result = subprocess.run(
                [program("pet-driver"), "ipi", *words],
                cwd=folder,
                env=environment(),
                capture_output=True,
                text=True,
                timeout=300,
            )
            server.wait(timeout=60)
        finally:
            server.kill()
            server.wait()
            for path in glob.glob(f"/tmp/ipi_*{mark}"):
                os.unlink(path)
    assert result.returncode == 0, result.stderr + (folder / "ipi.log").read_text()[-1500:]
    return result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["water_nvt", "water_npt_pimd", "water_contraction", "water_pimd", "water_piglet"]
)
def test_dynamics(tmp_path, name):
    run_input(name, tmp_path / "run", 2)
    table = np.loadtxt(tmp_path / "run" / "simulation.out")
    assert len(table) == 3
    assert np.isfinite(table).all()
    # The conserved quantity includes the work of each kick of colored noise, which is large.
    assert np.ptp(table[:, 2]) < (2.0 if name == "water_piglet" else 0.2)
    if name == "water_npt_pimd":
        assert np.ptp(table[:, -1]) > 0.0


def test_piglet_gives_harmonic_oscillators_their_quantum_energy():
    """The matrices of the input, in the equations of motion of each normal mode."""
    text = (INPUTS / "water_piglet" / "input.xml").read_text()
    beads, temperature = 4, 298.0 * 3.166811563e-6
    drift, covariance = (
        np.array(json.loads(re.search(rf"<{name} .*?>(.*?)</{name}>", text, re.DOTALL)[1]))
        for name in "AC"
    )
    drift, covariance = drift.reshape(beads, 9, 9), covariance.reshape(beads, 9, 9)
    np.testing.assert_allclose(covariance[0], beads * 298.0 * np.eye(9))
    for wave_number in (100.0, 800.0, 1600.0, 3500.0):
        frequency = wave_number * 4.556335e-6
        potential = 0.5 * temperature  # the centroid
        for mode in range(1, beads):
            ring = 2.0 * beads * temperature * np.sin(np.pi * mode / beads)
            motion = np.zeros((10, 10))  # of position, momentum and eight others
            motion[0, 1], motion[1, 0] = -1.0, frequency**2 + ring**2
            motion[1:, 1:] = drift[mode]
            noise = np.zeros((10, 10))
            kicks = drift[mode] @ covariance[mode] * 3.166811563e-6
            noise[1:, 1:] = kicks + kicks.T
            variance = solve_continuous_lyapunov(motion, noise)[0, 0]
            potential += 0.5 * frequency**2 * variance / beads
        quantum = 0.25 * frequency / np.tanh(0.5 * frequency / temperature)
        assert potential == pytest.approx(quantum, rel=4e-3)


def test_dipoles_go_along_for_an_infrared_spectrum(tmp_path):
    run_input("molecule_infrared", tmp_path / "run", 3)
    lines = (tmp_path / "run" / "simulation.dipole_0").read_text().splitlines()
    dipoles = np.array([line.split() for line in lines if "#" not in line], dtype=float)
    assert dipoles.shape == (4, 3)
    molecule = ase.io.read(INPUTS / "molecule_infrared" / "init.xyz")
    expected = load_model("dipeptides").compute(molecule).total("dipole")
    np.testing.assert_allclose(dipoles[0] * BOHR, expected, rtol=1e-4, atol=1e-6)


def test_spectrum_has_the_bands_of_the_dipoles(tmp_path):
    times = 0.5e-15 * np.arange(20001)
    waves = 2.0 * np.pi * 2.99792458e10 * times[:, None] * np.array([1600.0, 1600.0, 3300.0])
    np.savetxt(tmp_path / "dipoles", np.cos(waves))
    script = INPUTS / "molecule_infrared" / "spectrum.py"
    command = [sys.executable, script, "dipoles", "0.5"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    found, intensity = np.loadtxt(tmp_path / "spectrum.txt").T
    assert abs(found[intensity.argmax()] - 3300.0) < 15.0
    low = found < 2500.0
    assert abs(found[low][intensity[low].argmax()] - 1600.0) < 15.0
    # Two of three components, weighted with the square of the frequency.
    ratio = intensity[low].max() / intensity.max()
    assert ratio == pytest.approx(2.0 * (1600.0 / 3300.0) ** 2, rel=0.05)


@pytest.mark.slow
def test_committee(tmp_path):
    """Members: the shipped model, and two others that differ from it by noise."""
    checkpoint = load_checkpoint("water")
    for seed, name in enumerate("abc"):
        noise = torch.Generator().manual_seed(seed)
        weights = {
            key: x * (1.0 + 0.002 * seed * torch.randn(x.shape, generator=noise))
            for key, x in checkpoint.weights.items()
        }
        save_checkpoint(replace(checkpoint, weights=weights), tmp_path / f"{name}.safetensors")
    paths = {f"{name}.safetensors": tmp_path / f"{name}.safetensors" for name in "abc"}
    run_input("water_committee", tmp_path / "run", 2, replaced=paths)
    table = np.loadtxt(tmp_path / "run" / "simulation.out")
    lines = (tmp_path / "run" / "simulation.members_0").read_text().splitlines()
    members = np.array([line.split() for line in lines if "#" not in line], dtype=float)
    assert members.shape == (3, 3)
    np.testing.assert_allclose(members.mean(axis=1) * HARTREE, table[:, 4], rtol=1e-6)
    assert np.ptp(members[0]) > 0.0


@pytest.mark.slow
def test_one_mpi_job(tmp_path):
    shutil.copytree(INPUTS / "water_pimd_mpi", tmp_path / "run")
    folder = tmp_path / "run"
    text = (folder / "input.xml").read_text().replace("> 40 </total", "> 2 </total")
    (folder / "input.xml").write_text(text)
    command = re.search(r"^mpiexec .*", (folder / "README.md").read_text(), re.MULTILINE)[0]
    words = [
        program(word) if word in ("mpiexec", "i-pi", "pet-driver") else word
        for word in command.split()
    ]
    result = subprocess.run(
        words, cwd=folder, env=environment(), capture_output=True, text=True, timeout=300
    )
    assert_job_succeeded(result)
    assert "connected to MPI driver roots [1, 2]" in result.stdout
    table = np.loadtxt(folder / "simulation.out")
    assert len(table) == 3
    assert np.ptp(table[:, 2]) < 0.2


@pytest.mark.slow
def test_multiple_time_steps_add_up_to_the_exact_energy(tmp_path):
    said = run_input("water_mts", tmp_path / "mts", 2)
    together = np.loadtxt(tmp_path / "mts" / "simulation.out", ndmin=2)
    atoms = ase.io.read(INPUTS / "water_mts" / "init.xyz")
    exact = load_model("water_plain", scope="atom").compute(atoms)
    assert together[0, 4] == pytest.approx(exact.energy, rel=1e-6)
    # Three corrections, and plain forces at the start and in each of two times eight steps.
    assert re.search(r"served 20 requests", said)


@pytest.mark.slow
def test_replica_exchange(tmp_path):
    run_input("water_remd", tmp_path / "run", 21)
    for temperature in (290, 320, 350):
        table = np.loadtxt(tmp_path / "run" / f"t{temperature}_simulation.out")
        assert len(table) == 22
        assert np.isfinite(table).all()


def test_relaxation(tmp_path):
    run_input("molecule_relaxation", tmp_path / "run")
    energies = np.loadtxt(tmp_path / "run" / "simulation.out")[:, 1]
    forces = np.loadtxt(
        (tmp_path / "run" / "simulation.frc_0.xyz").open().readlines()[-3:], usecols=(1, 2, 3)
    )
    assert energies[-1] < energies[0] - 0.01
    assert np.abs(forces).max() < 1e-3
    assert len(energies) < 40


def test_vibrations(tmp_path):
    """Six zero modes and the three that ASE finds; with plain PET rotations are no zero modes."""
    run_input("molecule_vibrations", tmp_path / "run")
    values = np.sort(np.loadtxt(tmp_path / "run" / "simulation.phonons.eigval"))
    per_centimetre = HARTREE / 1.239841984e-4
    waves = np.sign(values) * np.sqrt(np.abs(values)) * per_centimetre
    assert np.abs(waves[:6]).max() < 5.0
    molecule = ase.io.read(tmp_path / "run" / "init.xyz")
    molecule.calc = PETCalculator("water", dtype="float64")
    assert np.abs(molecule.get_forces()).max() < 0.01, "init.xyz is not the minimum"
    np.testing.assert_allclose(waves[6:], wave_numbers(molecule, tmp_path / "ase")[6:], atol=3.0)
    molecule.calc = PETCalculator("water_plain", dtype="float64")
    assert wave_numbers(molecule, tmp_path / "plain")[:6].max() > 100.0


def wave_numbers(molecule, folder):
    """Of all modes, 1/cm, without the signs of their squares."""
    vibrations = Vibrations(molecule, name=folder, delta=0.001 * BOHR)
    vibrations.run()
    return np.abs(vibrations.get_frequencies())
