"""`pet-driver bench` on a small box."""

import json

import ase.io
import pytest

from pet_driver.cli.main import main


@pytest.fixture
def box_file(tmp_path, small_box):
    ase.io.write(tmp_path / "box.xyz", small_box, format="extxyz")
    return str(tmp_path / "box.xyz")


def test_both_scopes_are_timed(tmp_path, box_file, model_file, small_box, potential, capsys):
    path = tmp_path / "times.json"
    words = ["bench", str(model_file), box_file, "--repeat", "2x1x1", "--seconds", "0.1"]
    assert main([*words, "--dtype", "float64", "--json", str(path)]) == 0
    output = capsys.readouterr().out
    assert f"{2 * len(small_box)} atoms" in output
    found = json.loads(path.read_text())
    assert found["dtype"] == "float64"
    frames = potential.frames(small_box).counts().double().mean().item()
    exact, plain = found["scopes"]["layer"], found["scopes"]["none"]
    assert exact["frames per atom"] == pytest.approx(frames)
    assert plain["frames per atom"] == 1.0
    for row in (exact, plain):
        assert row["us per atom"] == pytest.approx(1e3 * row["ms per step"] / found["atoms"])
        assert 0.05 < row["peak memory, GB"] < 20.0


def test_plain_scope_has_one_row(box_file, model_file, capsys):
    assert main(["bench", str(model_file), box_file, "--scope", "none", "--seconds", "0.1"]) == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split()[0] for row in rows] == ["none"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--repeat", "2x2"], "--repeat is '2x2'; give three numbers"),
        (["--repeat", "0x1x1"], "--repeat is '0x1x1'"),
        (["--repeat", "²x1x1"], "--repeat is '²x1x1'; give three numbers"),
        (["--seconds", "nan"], "--seconds is nan; give a positive number"),
        (["--seconds", "0"], "--seconds is 0.0; give a positive number"),
        (["--json", "nowhere/times.json"], "there is no folder nowhere"),
    ],
)
def test_bad_input_is_one_sentence(box_file, model_file, capsys, words, sentence):
    assert main(["bench", str(model_file), box_file, *words]) == 2
    assert sentence in capsys.readouterr().err


def test_a_molecule_cannot_be_repeated(tmp_path, molecule, model_file, capsys):
    ase.io.write(tmp_path / "molecule.xyz", molecule, format="extxyz")
    words = ["bench", str(model_file), str(tmp_path / "molecule.xyz"), "--repeat", "2x1x1"]
    assert main(words) == 2
    assert "has no lattice vector in one of these directions" in capsys.readouterr().err
