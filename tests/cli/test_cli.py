"""The commands, as a user types them; errors are one sentence and exit code 2."""

import json
import signal
import subprocess
import sys

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from pet_driver.cli.main import main

# As outside of tests, where Python shows deprecations in a library to its developers only.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_eval_writes_what_the_potential_says(
    tmp_path, model_file, potential, small_box, molecule, capsys
):
    source, target = tmp_path / "in.xyz", tmp_path / "out.xyz"
    ase.io.write(source, [small_box, molecule], format="extxyz")
    arguments = ["eval", str(model_file), str(source), "-o", str(target), "--dtype", "float64"]
    assert main(arguments) == 0
    assert "2 structures" in capsys.readouterr().out
    box, free = ase.io.read(target, index=":")
    expected = potential.compute([small_box, molecule])
    for atoms, prediction in zip((box, free), expected, strict=True):
        assert atoms.get_potential_energy() == pytest.approx(prediction.energy, abs=1e-6)
        np.testing.assert_allclose(atoms.get_forces(), prediction.forces, atol=1e-6)
        np.testing.assert_allclose(atoms.get_potential_energies(), prediction.energies, atol=1e-6)
    stress = expected[0].stress(small_box.get_volume())
    np.testing.assert_allclose(box.get_stress(voigt=False), stress, atol=1e-6)


def test_info_shows_the_card(model_file, capsys):
    assert main(["info", str(model_file)]) == 0
    assert "elements    H C O" in capsys.readouterr().out
    assert main(["info", str(model_file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hyperparameters"]["scope"] == "layer"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_reader_that_leaves(model_file, options):
    command = [sys.executable, "-m", "pet_driver.cli.main", "info", str(model_file), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    with process.stderr as said:
        assert said.read() == ""
    assert process.wait(timeout=60) == 128 + signal.SIGPIPE


def test_plain_scope_is_a_warning(tmp_path, model_file, molecule, capsys):
    source = tmp_path / "in.xyz"
    ase.io.write(source, molecule, format="extxyz")
    arguments = ["eval", str(model_file), str(source), "-o", str(tmp_path / "o.xyz")]
    assert main([*arguments, "--scope", "none"]) == 0
    assert "was trained with scope 'layer'" in capsys.readouterr().err


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_check_finds_a_sound_model_sound(tmp_path, model_file, molecule, capsys, dtype):
    source = tmp_path / "in.xyz"
    ase.io.write(source, molecule, format="extxyz")
    assert main(["check", str(model_file), str(source), "--dtype", dtype]) == 0
    output = capsys.readouterr().out
    assert output.count(" ok") == 4
    assert "forces against finite differences" in output


def test_pairs_closer_than_the_data_are_a_warning(tmp_path, capsys):
    """No error: a user may ask for it, but must know."""
    silicon = bulk("Si", cubic=True)
    ase.io.write(tmp_path / "usual.xyz", silicon, format="extxyz")
    silicon.positions[0] += 0.23 * (silicon.positions[1] - silicon.positions[0])
    ase.io.write(tmp_path / "close.xyz", silicon, format="extxyz")
    assert main(["check", "silicon", str(tmp_path / "usual.xyz")]) == 0
    assert "training data" not in capsys.readouterr().err
    assert main(["check", "silicon", str(tmp_path / "close.xyz")]) == 0
    told = capsys.readouterr().err
    assert (
        "atoms Si-Si are 1.81 angstrom apart, closer than any in the training data (1.90)" in told
    )
    assert told.count("closer than any") == 1
    assert main(["info", "silicon"]) == 0
    assert "in the training data: Si-Si 1.90 A" in capsys.readouterr().out


def test_report_on_symmetry(tmp_path, model_file, water_box, capsys):
    source, picture = tmp_path / "in.xyz", tmp_path / "pictures" / "report.png"
    ase.io.write(source, water_box, format="extxyz")
    arguments = ["check", str(model_file), str(source), "--symmetry", "--rotations", "3"]
    assert main([*arguments, "--plot", str(picture)]) == 0
    assert picture.stat().st_size > 10_000
    lines = capsys.readouterr().out.splitlines()
    errors = {line[:38].strip(): float(line.split()[-3]) for line in lines[2:5]}
    plain, averaged, exact = errors.values()
    assert list(errors)[1:] == ["average over 3 random rotations", "ECSE, scope layer"]
    # Averages of three have an error smaller by the square root of three, within their scatter.
    assert 0.3 * plain < averaged < 0.9 * plain
    assert exact < 1e-9 * plain
    shares = [float(line.split()[1]) for line in lines if line.startswith("  ") and "%" in line]
    assert sum(shares) == pytest.approx(100.0, abs=0.5)


def test_what_check_does_not_accept(tmp_path, model_file, molecule, capsys):
    source = tmp_path / "in.xyz"
    ase.io.write(source, molecule, format="extxyz")
    for options, sentence in {
        ("--plot", "x.png"): "add --symmetry",
        ("--symmetry", "--rotations", "1"): "give at least 2",
        ("--symmetry", "--scope", "none"): "drop --scope none",
        ("--symmetry", "--plot", str(tmp_path / "x.abc")): "ends in .png",
        ("--symmetry", "--plot", str(tmp_path)): "ends in .png",
        ("--symmetry", "--plot", str(source / "x.png")): "cannot be made",
    }.items():
        assert main(["check", str(model_file), str(source), *options]) == 2
        said = capsys.readouterr()
        assert sentence in said.err
        assert not said.out  # refused before the work


@pytest.mark.parametrize(
    ("model", "atoms", "options", "sentence"),
    [
        ("nothing", "OHH", [], "there is no model 'nothing'"),
        (None, "AuHH", [], "contains Au, but the model knows only H C O"),
        (None, "OHH", ["--device", "cuda:77"], "cuda:77 was asked for"),
        (None, "OHH", ["--dtype", "half"], "dtype is 'half'"),
        (None, None, [], "there is no file"),
    ],
    ids=["model", "element", "device", "dtype", "file"],
)
def test_bad_input(tmp_path, model_file, capsys, model, atoms, options, sentence):
    source = tmp_path / "in.xyz"
    if atoms:
        positions = [[0, 0, 0], [0.8, 0.6, 0], [-0.8, 0.6, 0]]
        ase.io.write(source, Atoms(atoms, positions), format="extxyz")
    arguments = ["eval", model or str(model_file), str(source), "-o", str(tmp_path / "o.xyz")]
    assert main([*arguments, *options]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.startswith("pet-driver: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        ("", [], "cannot be read as structures"),
        ("not a structure\n", [], "give a file that ASE reads"),
        ("1\n\nQq 0 0 0\n", [], "'Qq' is unknown"),
        ("0\n\n", [], "has no atoms"),
        ("2\n\nO 0 0 0\nH nan 0 0\n", [], "the position of atom 1 (counted from 0)"),
        ("2\n\nO 0 0 0\nH 0 0 0.01\n", [], "0.01 angstrom apart"),
        ("1\n\nO 0 0 0\n", ["--extra-rotations", "-2"], "extra_rotations is -2"),
        ("1\n\nO 0 0 0\n", ["--scope", "globe"], "scope is 'globe'"),
    ],
    ids=["empty", "text", "element", "no atoms", "nan", "close", "rotations", "scope"],
)
@pytest.mark.parametrize("verb", ["eval", "check"])
def test_bad_structures(tmp_path, model_file, capsys, verb, text, options, sentence):
    source = tmp_path / "in.xyz"
    source.write_text(text)
    target = ["-o", str(tmp_path / "o.xyz")] if verb == "eval" else []
    assert main([verb, str(model_file), str(source), *target, *options]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not (tmp_path / "o.xyz").exists()


def test_models_that_are_none(tmp_path, model_file, capsys):
    whole = model_file.read_bytes()
    for name, content in {
        "text.safetensors": b"no model at all",
        "half.safetensors": whole[: len(whole) // 2],
    }.items():
        (tmp_path / name).write_bytes(content)
        assert main(["info", str(tmp_path / name)]) == 2
        error = capsys.readouterr().err
        assert name in error
        assert error.count("\n") == 1


def test_eval_needs_a_folder_to_write_to(tmp_path, model_file, molecule, capsys):
    ase.io.write(tmp_path / "in.xyz", molecule, format="extxyz")
    arguments = ["eval", str(model_file), str(tmp_path / "in.xyz"), "-o"]
    assert main([*arguments, str(tmp_path / "nowhere" / "o.xyz")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert main([*arguments, str(tmp_path / "o.xyz"), "--batch", "0"]) == 2
    assert "--batch is 0" in capsys.readouterr().err
    assert main([*arguments, str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_outputs_that_cannot_be_written(tmp_path, model_file, molecule, capsys):
    molecule.info["energy"] = 1.0
    ase.io.write(tmp_path / "in.xyz", molecule, format="extxyz")
    model, source = str(model_file), str(tmp_path / "in.xyz")
    (tmp_path / "folder.safetensors").mkdir()
    for arguments, sentence in (
        (["eval", model, source, "-o", str(tmp_path / ("n" * 300))], "cannot be used"),
        (["eval", model, source, "--report", f"{source}/sub"], "cannot be used"),
        (["bench", model, source, "--seconds", "0.1", "--json", str(tmp_path)], "is a folder"),
        (["export-mliap", model, "-o", str(tmp_path / "no" / "a.pt")], "there is no folder"),
        (["convert", source, "-o", str(tmp_path / "folder.safetensors")], "is a folder"),
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert sentence in error
        assert error.count("pet-driver:") == 1


def test_structures_are_named_by_their_place_in_the_file(tmp_path, model_file, molecule, capsys):
    source = tmp_path / "run@300K.xyz"
    ase.io.write(source, [molecule] * 5 + [Atoms()], format="extxyz")
    assert main(["eval", str(model_file), str(source), "-o", str(tmp_path / "o.xyz")]) == 2
    assert "structure 5 of" in capsys.readouterr().err


def test_old_results_do_not_stay_beside_new_ones(tmp_path, model_file, molecule):
    source, target = tmp_path / "in.xyz", tmp_path / "out.xyz"
    molecule.info |= {"energy_uncertainty": 1.0, "virial": np.eye(3), "note": "kept"}
    ase.io.write(source, molecule, format="extxyz")
    assert main(["eval", str(model_file), str(source), "-o", str(target)]) == 0
    found = ase.io.read(target).info
    assert "virial" not in found
    assert "energy_uncertainty" not in found
    assert found["note"] == "kept"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--forces-key", "F"], "has 'F'; correct --forces-key"),
        (["--stress-key", "S"], "has 'S'; correct --stress-key"),
        (["--energy-unit", "ev"], "--energy-unit is 'ev'"),
    ],
)
def test_labels_that_are_named_wrongly(tmp_path, model_file, molecule, capsys, options, sentence):
    molecule.info["E"] = 1.0
    ase.io.write(tmp_path / "in.xyz", molecule, format="extxyz")
    arguments = ["eval", str(model_file), str(tmp_path / "in.xyz"), "--report", str(tmp_path / "r")]
    assert main([*arguments, "--energy-key", "E", *options]) == 2
    assert sentence in capsys.readouterr().err


def test_labels_that_nothing_reads(tmp_path, model_file, molecule, capsys):
    ase.io.write(tmp_path / "in.xyz", molecule, format="extxyz")
    arguments = ["eval", str(model_file), str(tmp_path / "in.xyz"), "-o", str(tmp_path / "out.xyz")]
    assert main([*arguments, "--property-key", "dipole=mu"]) == 2
    assert "--property-key is given, but labels are read for --report" in capsys.readouterr().err


def test_ipi_needs_one_address(tmp_path, model_file, molecule, capsys):
    ase.io.write(tmp_path / "init.xyz", molecule, format="extxyz")
    assert main(["ipi", str(model_file), "--template", str(tmp_path / "init.xyz")]) == 2
    assert "--unix NAME, --shm NAME, --port P" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "there is no template"),
        ("", "cannot be read"),
        ("not a structure\n", "give a file that ASE reads"),
        ("0\n\n", "the structure has no atoms"),
        ("1\n\nX 0 0 0\n", "give every atom an element"),
        ("1\n\nAu 0 0 0\n", "contains Au"),
        ("1\n\nO nan 0 0\n", "the position of atom 0 (counted from 0)"),
        ('1\nProperties=species:S:1:pos:R:3 pbc="T T T"\nO 0 0 0\n', "lattice vector is zero"),
    ],
    ids=["missing", "empty", "text", "no atoms", "no element", "element", "nan", "cell"],
)
def test_bad_templates(tmp_path, model_file, monkeypatch, capsys, text, sentence):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / "init.xyz").write_text(text)
    arguments = ["ipi", str(model_file), "--template", "init.xyz", "--unix", "nobody"]
    assert main([*arguments, "--wait", "0"]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not (tmp_path / "pet_driver_failed.xyz").exists()
