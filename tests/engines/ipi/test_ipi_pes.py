"""The PES file, called as i-PI calls it."""

import ase.io
import numpy as np
import pytest

from pet_driver import load_model
from pet_driver.units import BOHR, HARTREE

pytest.importorskip("ipi")


@pytest.fixture
def driver(tmp_path, monkeypatch, model_file, molecule):
    """`driver(**parameters)`: the class of the PES file, made with these."""
    from pet_driver.engines.ipi.pes import PetDriver

    monkeypatch.chdir(tmp_path)
    ase.io.write("init.xyz", molecule, format="extxyz")
    return lambda **given: PetDriver(template="init.xyz", model=str(model_file), **given)


# Words of `-o key=value` of i-PI's driver, and values of the <parameters> of an input.
@pytest.mark.parametrize(
    "given",
    [
        {"dtype": "float64", "parity": "yes", "extra_rotations": "1", "verbosity": "low"},
        {"dtype": "float64", "parity": True, "extra_rotations": 1, "memory_share": 0.1},
    ],
    ids=["words", "values"],
)
def test_all_options_of_an_evaluation(driver, model_file, molecule, given):
    cell, positions = 40.0 * np.eye(3), molecule.positions / BOHR
    energy, forces, _, extras = driver(extras="energies", **given).compute(cell, positions)
    expected = load_model(model_file, dtype="float64", parity=True, extra_rotations=1)
    found = expected.compute(molecule)
    assert energy * HARTREE == pytest.approx(found.energy, rel=1e-12)
    np.testing.assert_allclose(forces * HARTREE / BOHR, found.forces, atol=1e-9)
    assert '"energies"' in extras


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"sope": "atom"}, "the PES has no parameter 'sope'; known are template, model, output"),
        ({"direct": True}, "the PES has no parameter 'direct'"),
        ({"parity": "perhaps"}, "parity is 'perhaps'; give yes or no"),
        ({"most_force": "much"}, "most_force is 'much'; give a number"),
        ({"output": "best"}, "--output is 'best'"),
    ],
)
def test_wrong_parameters(driver, given, sentence):
    with pytest.raises(SystemExit, match=sentence):
        driver(**given)
