"""The examples, run as their READMEs say, with the shipped model."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from helpers import ROOT, environment, program
from pet_driver import load_model

EXAMPLES = ROOT / "lammps_examples"


def run_example(name, folder, ranks, *variables):
    """The table of thermodynamic output."""
    pytest.importorskip("mpi4py", exc_type=ImportError)
    command = [program("mpiexec"), "-n", str(ranks), program("pet-lmp")]
    command += ["-in", str(EXAMPLES / name / "in.lmp"), "-log", "none", *variables]
    result = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=1800
    )
    assert result.returncode == 0, result.stdout[-1500:] + result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    start = next(k for k, words in enumerate(lines) if words[:2] == ["Step", "Temp"])
    end = next(k for k, words in enumerate(lines) if words[:2] == ["Loop", "time"])
    return np.array(lines[start + 1 : end], dtype=float)


def test_water_runs(tmp_path):
    table = run_example("water_nvt", tmp_path, 2, "-var", "steps", "10")
    assert table[:, 0].tolist() == [0, 10]
    assert 200 < table[1, 1] < 400


@pytest.mark.parametrize("name", ["ice_npt", "water_slab", "water_zbl", "silicon_strain"])
def test_examples_run(tmp_path, name):
    table = run_example(name, tmp_path, 2, "-var", "steps", "3")
    assert table[:, 0].tolist() == [0, 3]
    assert np.isfinite(table).all()


@pytest.mark.slow
def test_zbl_does_not_touch_the_liquid(tmp_path):
    steps = ("-var", "steps", "0", "-var", "dtype", "float64")
    with_zbl = run_example("water_zbl", tmp_path, 1, *steps)[0]
    assert with_zbl[3] == 0.0
    assert with_zbl[2] == pytest.approx(run_example("water_nvt", tmp_path, 1, *steps)[0, 2])


@pytest.mark.slow
def test_water_is_the_same_on_one_rank_and_on_two(tmp_path):
    variables = ["-var", "steps", "20", "-var", "dtype", "float64"]
    tables, ends = {}, {}
    for ranks in (1, 2):
        folder = tmp_path / str(ranks)
        folder.mkdir()
        tables[ranks] = run_example("water_nvt", folder, ranks, *variables)
        trajectory = (folder / "water.lammpstrj").read_text().splitlines()
        ends[ranks] = np.array([line.split() for line in trajectory[-192:]], dtype=float)
    np.testing.assert_allclose(tables[2][0], tables[1][0], rtol=1e-9)
    np.testing.assert_allclose(tables[2][-1], tables[1][-1], rtol=1e-6)
    np.testing.assert_allclose(ends[2][:, 2:], ends[1][:, 2:], rtol=0, atol=1e-6)


@pytest.mark.slow
def test_ice_breathes_the_same_on_one_rank_and_on_two(tmp_path):
    """A triclinic cell at constant pressure: 100 steps on both, a picosecond on two."""
    variables = ["-var", "dtype", "float64", "-var", "steps"]
    one = run_example("ice_npt", tmp_path, 1, *variables, "100")
    two = run_example("ice_npt", tmp_path, 2, *variables, "2000")
    np.testing.assert_allclose(two[0], one[0], rtol=1e-9, atol=1e-7)
    volume = 4
    np.testing.assert_allclose(two[:11, volume], one[:11, volume], rtol=1e-7)
    energy, conserved = two[:, 2], two[:, -1]
    assert np.ptp(energy) > 0.3
    slope = np.polyfit(np.linspace(0.0, 1.0, len(conserved)), conserved, 1)[0]
    assert abs(slope) < 0.1
    assert np.ptp(conserved) < 0.1


def test_script_for_a_cluster_launches(tmp_path):
    """With a stand-in for SLURM's launcher, which is not here: it starts two ranks."""
    launcher = tmp_path / "srun"
    launcher.write_text(
        f'#!/bin/bash\nwhile [[ $1 == --* ]]; do shift; done\nexec {program("mpiexec")} -n 2 "$@"\n'
    )
    launcher.chmod(0o755)
    folder = EXAMPLES / "cluster"
    result = subprocess.run(
        ["bash", str(folder / "cpu.sbatch")],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "VENV": str(Path(sys.executable).parent.parent),
            "SLURM_CPUS_PER_TASK": "1",
            "SLURM_SUBMIT_DIR": str(folder),
            "STEPS": "1",
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stdout[-1500:] + result.stderr
    assert "ranks: 2 on cpu, threads each: 1" in result.stdout


@pytest.mark.slow
def test_path_integral_water_runs(tmp_path):
    pytest.importorskip("ipi")
    folder = tmp_path / "pimd"
    shutil.copytree(ROOT / "ipi_inputs" / "water_pimd", folder)
    text = (folder / "input.xml").read_text()
    text = text.replace("<simulation ", f"<simulation sockets_prefix='{tmp_path}/' ")
    (folder / "input.xml").write_text(text.replace("> 40 <", "> 3 <"))
    with (folder / "ipi.log").open("w") as log:
        server = subprocess.Popen(
            [program("i-pi"), "input.xml"], cwd=folder, stdout=log, stderr=log, env=environment()
        )
        try:
            command = [program("pet-driver"), "ipi", "water", "--template", "init.xyz"]
            command += ["--unix", "pet", "--prefix", f"{tmp_path}/", "--wait", "60"]
            result = subprocess.run(
                command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=900
            )
            server.wait(timeout=60)
        finally:
            server.kill()
            server.wait()
    assert result.returncode == 0, result.stderr
    table = np.loadtxt(folder / "simulation.out")
    assert len(table) == 4
    # One structure for all beads at the start: the classical kinetic energy, 3/2 N kT.
    assert table[0, 5] == pytest.approx(1.5 * 192 * 8.617333e-5 * 300.0, rel=1e-5)


@pytest.mark.slow
def test_silicon_is_stable_at_constant_pressure(tmp_path):
    table = run_example("silicon_npt", tmp_path, 2, "-var", "steps", "2000")
    settled = table[len(table) // 2 :]
    temperature, volume, conserved = settled[:, 1], settled[:, 4], settled[:, 8]
    assert 250 < temperature.mean() < 350
    assert np.ptp(volume) > 1
    assert volume.mean() == pytest.approx(table[0, 4], rel=0.03)
    slope = np.polyfit(np.linspace(0.0, 1.0, len(conserved)), conserved, 1)[0]
    assert abs(slope) < 0.2


def test_dispersion_beside_silicon(tmp_path):
    """The energy of D3 is the one of its reference program without three-body term."""
    variables = ("-var", "steps", "0", "-var", "dtype", "float64")
    energy, dispersion = run_example("silicon_d3", tmp_path, 1, *variables)[0, 2:4]
    assert dispersion == pytest.approx(-19.88, rel=0.01)
    alone = bulk("Si", "diamond", a=5.45, cubic=True)
    wanted = 8 * load_model("silicon", dtype="float64").compute(alone).energy
    assert energy - dispersion == pytest.approx(wanted, rel=1e-9)
