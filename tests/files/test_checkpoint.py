from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pet_driver import PetDriverError
from pet_driver.evaluation.potential import Potential, load_model
from pet_driver.files.checkpoint import (
    load_checkpoint,
    random_checkpoint,
    save_checkpoint,
    shipped_models,
)
from pet_driver.model import Hyperparameters

FROZEN_ENERGY = -10.119507278027113
FROZEN = Path(__file__).parents[1] / "data" / "model_format_1.safetensors"


def test_round_trip_keeps_every_bit(checkpoint, tmp_path, molecule):
    checkpoint.baseline[:] = [0.1, 0.2, -1.0 / 3.0]
    path = tmp_path / "model.safetensors"
    save_checkpoint(checkpoint, path)
    loaded = load_checkpoint(path)
    assert loaded.hyper == checkpoint.hyper
    assert loaded.baseline == checkpoint.baseline
    first, second = (Potential(c, dtype="float64").compute(molecule) for c in (checkpoint, loaded))
    assert first.energy == second.energy
    np.testing.assert_array_equal(first.forces, second.forces)
    checkpoint.baseline[:] = [0.0, 0.0, 0.0]


@pytest.mark.parametrize("scope", ["layer", "atom"])
def test_fewer_outputs_leave_energies_and_forces_as_they_are(scope, molecule):
    checkpoint = random_checkpoint(
        Hyperparameters.from_dict(
            {
                "species": sorted(set(molecule.numbers.tolist())),
                "width": 8,
                "heads": 2,
                "properties": [["dipole", 1], ["polarizability", 2]],
            }
        )
    )
    potentials = [
        Potential(x, dtype="float64", scope=scope)
        for x in (checkpoint, checkpoint.with_outputs({"dipole"}), checkpoint.with_outputs(()))
    ]
    everything, *fewer = (potential.compute(molecule) for potential in potentials)
    assert set(everything.vectors) == {"dipole"}
    assert set(everything.tensors) == {"polarizability"}
    for prediction in fewer:
        assert not prediction.tensors
        assert prediction.energy == pytest.approx(everything.energy, rel=1e-12)
        np.testing.assert_allclose(prediction.forces, everything.forces, atol=1e-10)
    np.testing.assert_allclose(fewer[0].vectors["dipole"], everything.vectors["dipole"])
    assert not fewer[1].vectors


def test_files_of_format_1_can_still_be_read(molecule):
    """Written once, when the format was made; never to be written again."""
    prediction = load_model(FROZEN, dtype="float64").compute(molecule)
    assert prediction.energy == pytest.approx(FROZEN_ENERGY, rel=1e-12)


def _with_header(path, key, value):
    with safe_open(FROZEN, framework="pt") as file:
        metadata = {**file.metadata(), key: value}
    save_file(load_file(FROZEN), path, metadata)


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda path: path.write_bytes(b"no model"), "not a readable .safetensors file"),
        (lambda path: save_file({"a": torch.zeros(2)}, path), "not a pet-driver model"),
        (lambda path: save_file({}, path, {"format": "pet-driver", "format_version": "99"}), "99"),
        (lambda path: save_file({}, path, {"format": "pet-driver"}), "KeyError: 'format_version'"),
        (lambda path: _with_header(path, "hyperparameters", "{"), "header .* get the file anew"),
        (lambda path: _with_header(path, "hyperparameters", '{"foo": 1}'), "'foo'; known are"),
        (lambda path: _with_header(path, "hyperparameters", "[]"), "where a table was expected"),
        (lambda path: _with_header(path, "baseline", "null"), "TypeError"),
        (lambda path: _with_header(path, "baseline", "[0.0]"), "1 energies of . isolated atoms"),
        (lambda path: _with_header(path, "energy_scale", '"one"'), "ValueError"),
        (lambda path: _with_header(path, "card", "3"), "where a table was expected"),
    ],
    ids=[
        *("garbage", "foreign", "future", "no version", "damaged", "unknown", "list"),
        *("no energies", "few energies", "scale", "card"),
    ],
)
def test_files_that_are_no_models(tmp_path, write, sentence):
    path = tmp_path / "file.safetensors"
    write(path)
    with pytest.raises(PetDriverError, match=sentence):
        load_checkpoint(path)


def test_weights_that_do_not_fit_are_one_sentence(tmp_path):
    path = tmp_path / "model.safetensors"
    weights = load_file(FROZEN)
    weights.popitem()
    with safe_open(FROZEN, framework="pt") as file:
        save_file(weights, path, file.metadata())
    with pytest.raises(PetDriverError, match="do not fit its hyperparameters") as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


def test_a_missing_model_names_the_shipped_ones():
    with pytest.raises(PetDriverError, match=r"no model 'steam'.*water"):
        load_model("steam")


def test_shipped_models_are_small_and_have_a_card():
    assert "water" in shipped_models()
    for name in shipped_models():
        checkpoint = load_checkpoint(name)
        assert {"data", "errors", "level_of_theory"} <= set(checkpoint.card)
        parts = checkpoint.card["data"]["indices"]
        assert not set(parts["training"]) & set(parts["test"])
        assert sum(w.nbytes for w in checkpoint.weights.values()) < 5e6
