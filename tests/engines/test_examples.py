"""The examples, run as their READMEs say, with the shipped model."""

import shutil
import subprocess

import numpy as np
import pytest

from helpers import ROOT, environment, program

EXAMPLE = ROOT / "lammps_examples" / "water_nvt"


def run_water(folder, ranks, *variables):
    pytest.importorskip("mpi4py", exc_type=ImportError)
    command = [program("mpiexec"), "-n", str(ranks), program("pet-lmp")]
    command += ["-in", str(EXAMPLE / "in.lmp"), "-log", "none", *variables]
    result = subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=500
    )
    assert result.returncode == 0, result.stdout[-1500:] + result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    start = next(k for k, words in enumerate(lines) if words[:2] == ["Step", "Temp"])
    end = next(k for k, words in enumerate(lines) if words[:2] == ["Loop", "time"])
    trajectory = (folder / "water.lammpstrj").read_text().splitlines()
    last = np.array([line.split() for line in trajectory[-192:]], dtype=float)
    return np.array(lines[start + 1 : end], dtype=float), last


def test_water_runs(tmp_path):
    table, _ = run_water(tmp_path, 2, "-var", "steps", "10")
    assert table[:, 0].tolist() == [0, 10]
    assert 200 < table[1, 1] < 400


@pytest.mark.slow
def test_water_is_the_same_on_one_rank_and_on_two(tmp_path):
    variables = ["-var", "steps", "20", "-var", "dtype", "float64"]
    tables, ends = {}, {}
    for ranks in (1, 2):
        folder = tmp_path / str(ranks)
        folder.mkdir()
        tables[ranks], ends[ranks] = run_water(folder, ranks, *variables)
    np.testing.assert_allclose(tables[2][0], tables[1][0], rtol=1e-9)
    np.testing.assert_allclose(tables[2][-1], tables[1][-1], rtol=1e-6)
    np.testing.assert_allclose(ends[2][:, 2:], ends[1][:, 2:], rtol=0, atol=1e-6)


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
                command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=300
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
