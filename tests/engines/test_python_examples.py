"""The scripts of docs/examples, run as their pages say; numbers are those of the pages.

Those of an engine are run by the tests of that engine.
"""

import re
import subprocess
import sys

import pytest

from helpers import ROOT, environment

FOLDER = ROOT / "docs" / "examples"
LARGEST_PICTURE = 60_000  # bytes
NEEDED = {
    "elastic_constants": "matcalc",
    "phonons": "phonopy",
    "relaxation": "matplotlib",
    "vibrations": "matplotlib",
    "neb": "matplotlib",
    "dispersion": "dftd3",
}
OF_ENGINES = {"openmm_dipeptide", "openmm_water", "torch_sim_water"}


def run_example(name, folder):
    """What the script prints."""
    pytest.importorskip(NEEDED[name])
    pytest.importorskip("matplotlib")
    script = FOLDER / name / "run.py"
    result = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), "--output", str(folder)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert result.returncode == 0, result.stderr
    assert (folder / f"{name}.png").stat().st_size < LARGEST_PICTURE
    return result.stdout


def numbers(output, start):
    """Numbers of the line that begins so."""
    (line,) = re.findall(rf"^{re.escape(start)}(.*)$", output, re.MULTILINE)
    return [float(word) for word in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", line)]


def test_every_example_is_run_and_has_its_picture():
    folders = {path.parent.name for path in FOLDER.glob("*/run.py")}
    assert folders == set(NEEDED) | OF_ENGINES
    for name in folders:
        (picture,) = (FOLDER / name).glob("*.png")
        assert picture.stat().st_size < LARGEST_PICTURE
        assert picture.name in (FOLDER / name / "README.md").read_text()


@pytest.mark.slow
def test_elastic_constants(tmp_path):
    output = run_example("elastic_constants", tmp_path)
    for name, value in {"C11": 152.1, "C12": 54.8, "C44": 78.1}.items():
        mean, spread = numbers(output, f"{name} ")
        assert mean == pytest.approx(value, abs=0.3)
        assert spread < 1e-6
    assert numbers(output, "bulk modulus") == pytest.approx([87.2], abs=0.3)


@pytest.mark.slow
def test_phonons(tmp_path):
    output = run_example("phonons", tmp_path)
    modes = numbers(output, "modes at the zone's centre, THz:")
    assert modes == pytest.approx([0.0, 0.0, 0.0, 14.645, 14.645, 14.645], abs=0.02)
    assert modes[3] == modes[5]
    assert "stable" in output
    assert "unstable" not in output


@pytest.mark.slow
def test_relaxation(tmp_path):
    output = run_example("relaxation", tmp_path)
    assert numbers(output, "lattice constants") == pytest.approx([5.4716] * 3, abs=1e-3)
    assert numbers(output, "angles") == pytest.approx([90.0] * 3, abs=0.01)
    assert numbers(output, "largest stress")[0] < 0.001


@pytest.mark.slow
def test_vibrations(tmp_path):
    output = run_example("vibrations", tmp_path)
    exact, plain = numbers(output, "exact "), numbers(output, "plain ")
    assert max(abs(mode) for mode in exact[:6]) < 0.1
    assert exact[6:] == pytest.approx([1557.6, 3804.6, 3886.5], abs=1.0)
    # The translations of both, and the rotations of the plain model, which are pinned.
    assert sum(abs(mode) < 0.1 for mode in plain) == 3
    assert sum(100 < abs(mode) < 400 for mode in plain) == 3


@pytest.mark.slow
def test_dispersion(tmp_path):
    output = run_example("dispersion", tmp_path)
    alone, energy = numbers(output, "model: lattice constant")
    with_d3, lower = numbers(output, "model + D3: lattice constant")
    assert alone == pytest.approx(5.471, abs=0.002)
    assert 0.02 < alone - with_d3 < 0.1
    assert 0.1 < energy - lower < 0.4


@pytest.mark.slow
def test_neb(tmp_path):
    output = run_example("neb", tmp_path)
    assert "converged: yes" in output
    energies = numbers(output, "energies, meV:")
    assert energies[0] == energies[-1] == 0.0
    assert max(energies) == energies[len(energies) // 2] == pytest.approx(90.9, abs=5.0)
