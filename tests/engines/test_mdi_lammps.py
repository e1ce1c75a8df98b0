"""A plain `lmp` with the package MDI, as tests/lammps_build/install.sh makes it, as the driver."""

import re
import socket
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ase.io.lammpsdata import read_lammps_data, write_lammps_data

from helpers import BUILT_LAMMPS as PREFIX
from helpers import ROOT, environment, program
from pet_driver.evaluation.potential import Potential, load_model
from pet_driver.files.checkpoint import load_checkpoint

BAR = 1602176.5  # per eV / angstrom^3, LAMMPS' constant for metal units
KCAL = 23.060549  # kcal/mol per eV, real units; LAMMPS converts by the kelvin
SECONDS = 120

SCRIPT = """
units {units}
atom_modify map array
{boundary}
read_data box.data
pair_style zero 2.0
pair_coeff * *
fix model all mdi/qm virial {virial} elements H O
thermo_style custom step pe pxx pyy pzz pxy pxz pyz
dump atoms all custom 1 atoms.txt id fx fy fz
dump_modify atoms sort id format float %.17g
{run}
print "RESULT $(pe:%.17g) $(vol:%.17g) $(pxx:%.17g) $(pyy:%.17g) $(pzz:%.17g) $(pxy:%.17g) &
$(pxz:%.17g) $(pyz:%.17g)"
"""


def has_mdi():
    library = PREFIX / "lib" / "liblammps.so"
    return library.exists() and b"mdi/qm" in library.read_bytes()


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not has_mdi(), reason="no LAMMPS with MDI; tests/lammps_build/install.sh builds one"
    ),
]


@pytest.fixture
def run_both(tmp_path, model_file):
    """`run_both(script)`: LAMMPS as the driver and the engine, when both have ended."""
    pytest.importorskip("mdi", reason="pymdi is not installed")
    started = []

    def start(words):
        setting = f'source {PREFIX / "env.sh"}; exec "$@"' if "-in" in words else 'exec "$@"'
        process = subprocess.Popen(
            ["bash", "-c", setting, "bash", *words],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    def run(script, model=None, ranks=1, lammps=(), engine=()):
        with socket.socket() as probe:
            probe.bind(("localhost", 0))
            port = probe.getsockname()[1]
        if not isinstance(script, Path):
            (tmp_path / "in.lmp").write_text(script)
            script = tmp_path / "in.lmp"
        words = f"-role DRIVER -name LAMMPS -method TCP -port {port}"
        launch = [program("mpiexec"), "-n", str(ranks), str(PREFIX / "bin" / "lmp")]
        driver = start([*launch, "-mdi", words, "-in", str(script), "-log", "none", *lammps])
        words = f"-role ENGINE -name PET -method TCP -hostname localhost -port {port}"
        served = [program("pet-driver"), "mdi", str(model or model_file), "-mdi", words]
        driven = start([*served, "--dtype", "float64", *engine])
        _, errors = driven.communicate(timeout=SECONDS)
        output, _ = driver.communicate(timeout=SECONDS)
        return driver.returncode, output, driven.returncode, errors

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def box(small_box, tmp_path):
    """Eight molecules in a triclinic cell, as LAMMPS reads it."""
    path = tmp_path / "box.data"
    write_lammps_data(path, small_box, specorder=["H", "O"], masses=True, atom_style="atomic")
    atoms = read_lammps_data(path, units="metal", atom_style="atomic")
    atoms.pbc = True
    return atoms


def result(output):
    (line,) = re.findall(r"^RESULT (.*)$", output, re.MULTILINE)
    energy, volume, *pressure = (float(word) for word in line.split())
    return energy, volume, np.array(pressure)


def script(units="metal", virial="yes", boundary="", run="run 0 post no"):
    return SCRIPT.format(units=units, virial=virial, boundary=boundary, run=run)


@pytest.mark.parametrize("ranks", [1, 2])
def test_results_equal_ase(run_both, model_file, box, tmp_path, ranks):
    code, output, engine, errors = run_both(script(), ranks=ranks)
    assert (code, engine) == (0, 0), output[-2000:] + errors
    energy, volume, pressure = result(output)
    wanted = Potential(load_checkpoint(model_file), dtype="float64").compute(box)
    forces = np.loadtxt(tmp_path / "atoms.txt", skiprows=9)[:, 1:]
    virial = wanted.virial[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
    for found, expected in [
        (energy, wanted.energy),
        (forces, wanted.forces),
        (pressure * volume / BAR, virial),
    ]:
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-8 * scale)


def test_units_real_and_types(run_both, model_file, box):
    """LAMMPS sends types where the script names no elements; `real` has other units."""
    text = script("real").replace(" elements H O", "")
    code, output, engine, errors = run_both(text, engine=("--elements", "H,O"))
    assert (code, engine) == (0, 0), output[-2000:] + errors
    wanted = Potential(load_checkpoint(model_file), dtype="float64").compute(box)
    assert result(output)[0] == pytest.approx(KCAL * wanted.energy, rel=5e-6)


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize(
    "run",
    [
        "velocity all create 100.0 5\nfix move all npt temp 100 100 0.05 tri 0 0 0.1\nrun 3",
        "min_style cg\nminimize 0 1e-3 3 10",
        "fix move all nve\nrun 2\nchange_box all x scale 1.01 remap\nrun 2",
    ],
    ids=["npt", "minimize", "two runs"],
)
def test_positions_and_cells_follow(run_both, model_file, tmp_path, run):
    end = "\nrun 0\nwrite_data end.data" if "minimize" in run else "\nwrite_data end.data"
    code, output, engine, errors = run_both(script(run=run + end))
    assert (code, engine) == (0, 0), output[-2000:] + errors
    atoms = read_lammps_data(tmp_path / "end.data", units="metal", atom_style="atomic")
    atoms.pbc = True
    wanted = Potential(load_checkpoint(model_file), dtype="float64").compute(atoms)
    # The file has the positions to 1e-15 relative.
    assert result(output)[0] == pytest.approx(wanted.energy, rel=1e-8)


def test_box_that_is_not_periodic(run_both, model_file, box, tmp_path):
    text = script(virial="no", boundary="boundary f f f")
    text = text.replace("run 0", "thermo_style custom step pe\nrun 0")
    text = text.replace("$(pxx:%.17g) $(pyy:%.17g) $(pzz:%.17g) $(pxy:%.17g) &\n", "")
    text = text.replace(" $(pxz:%.17g) $(pyz:%.17g)", "")
    box.wrap()
    write_lammps_data(
        tmp_path / "box.data", box, specorder=["H", "O"], masses=True, atom_style="atomic"
    )
    code, output, engine, errors = run_both(text)
    assert (code, engine) == (0, 0), output[-2000:] + errors
    box.pbc = False
    wanted = Potential(load_checkpoint(model_file), dtype="float64").compute(box)
    assert result(output)[0] == pytest.approx(wanted.energy, rel=1e-8)


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("elements H O", "elements H Au", "the structure contains Au"),
        (" elements H O", "", "the driver sent no elements"),
        ("run 0 post no", "run 0\nnonsense", "closed the connection without EXIT"),
    ],
)
def test_failures_end_both(run_both, old, new, expected):
    code, output, engine, errors = run_both(script().replace(old, new))
    assert engine == 2, errors
    assert code != 0, output
    assert "RESULT" not in output
    assert expected in errors
    assert "Traceback" not in errors


def test_example_runs(run_both):
    folder = ROOT / "lammps_examples" / "mdi"
    water = ROOT / "lammps_examples" / "water_nvt" / "water.data"
    variables = ["-var", "steps", "2", "-var", "data", str(water)]
    code, output, engine, errors = run_both(folder / "in.lmp", "water", 2, variables)
    assert (code, engine) == (0, 0), output[-2000:] + errors
    lines = [line.split() for line in output.splitlines()]
    start = next(k for k, words in enumerate(lines) if words[:2] == ["Step", "Temp"])
    _, kelvin, energy, pressure, *_, norm = (float(word) for word in lines[start + 1])
    atoms = read_lammps_data(water, units="metal", atom_style="atomic")
    atoms.pbc = True
    wanted = load_model("water", dtype="float64").compute(atoms)
    assert energy == pytest.approx(wanted.energy, rel=1e-8)
    assert norm == pytest.approx(np.linalg.norm(wanted.forces), rel=1e-7)
    kinetic = (len(atoms) - 1) * 8.617343e-5 * kelvin  # eV, LAMMPS' constant for metal units
    expected = (kinetic + np.trace(wanted.virial) / 3.0) / atoms.get_volume() * 1602176.5  # bar
    assert pressure == pytest.approx(expected, rel=1e-6)
