"""The inputs for i-PI, run as their READMEs say, for a few steps."""

import re
import shutil
import subprocess

import numpy as np
import pytest

from helpers import ROOT, environment, program
from pet_driver.units import HARTREE

pytest.importorskip("ipi")

INPUTS = ROOT / "ipi_inputs"


def run_input(name, folder, steps=None, *options):
    """Run in a copy; the driver's command is that of the README."""
    shutil.copytree(INPUTS / name, folder)
    text = (folder / "input.xml").read_text()
    text = text.replace("<simulation ", f"<simulation sockets_prefix='{folder}/' ")
    if steps is not None:
        text = re.sub(r"<total_steps> \d+ <", f"<total_steps> {steps} <", text)
    (folder / "input.xml").write_text(text)
    command = re.search(r"pet-driver ipi ((?:.*\\\n)*.*)", (folder / "README.md").read_text())[1]
    words = command.replace("\\\n", " ").split()
    with (folder / "ipi.log").open("w") as log:
        server = subprocess.Popen(
            [program("i-pi"), "input.xml"], cwd=folder, stdout=log, stderr=log, env=environment()
        )
        try:
            result = subprocess.run(
                [program("pet-driver"), "ipi", *words, "--prefix", f"{folder}/", *options],
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
    assert result.returncode == 0, result.stderr + (folder / "ipi.log").read_text()[-1500:]
    return result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["water_nvt", "water_npt_pimd", "water_contraction", "water_pimd"])
def test_dynamics(tmp_path, name):
    run_input(name, tmp_path / "run", 2)
    table = np.loadtxt(tmp_path / "run" / "simulation.out")
    assert len(table) == 3
    assert np.isfinite(table).all()
    assert np.ptp(table[:, 2]) < 0.2
    if name == "water_npt_pimd":
        assert np.ptp(table[:, -1]) > 0.0


@pytest.mark.slow
def test_multiple_time_steps_add_up_to_the_exact_energy(tmp_path):
    said = run_input("water_mts", tmp_path / "mts", 2)
    run_input("water_nvt", tmp_path / "nvt", 1)
    together = np.loadtxt(tmp_path / "mts" / "simulation.out", ndmin=2)
    exact = np.loadtxt(tmp_path / "nvt" / "simulation.out", ndmin=2)
    assert together[0, 4] == pytest.approx(exact[0, 4], rel=1e-6)
    assert re.search(r"served 1\d requests", said)


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
    assert energies[-1] < energies[0] - 0.01
    assert len(energies) < 40


def test_vibrations(tmp_path):
    """Six zero modes, of which the rotations would fail with plain PET; and three vibrations."""
    run_input("molecule_vibrations", tmp_path / "run")
    values = np.sort(np.loadtxt(tmp_path / "run" / "simulation.phonons.eigval"))
    per_centimetre = HARTREE / 1.239841984e-4
    waves = np.sign(values) * np.sqrt(np.abs(values)) * per_centimetre
    assert np.abs(waves[:6]).max() < 1.0
    np.testing.assert_allclose(waves[6:], [1515.7, 4141.8, 4178.4], atol=3.0)
