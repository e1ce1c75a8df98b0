"""Hyperparameters: checks, and the flat mapping of model files."""

import json

import pytest
from safetensors import safe_open

from helpers import FOREIGN, FOREIGN_PAPER, MODERN, NEAREST, PAPER
from pet_driver.files.checkpoint import find_model, shipped_models
from pet_driver.model import Hyperparameters, flat_fields


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"block": "old"}, "block is 'old'"),
        ({"width": 30}, "width 30 cannot be shared by 4 heads"),
        ({"widht": 3}, "unknown hyperparameter 'widht'; known are activation"),
        ({"foreign": {}}, "unknown hyperparameter 'foreign'"),
        ({"cutoff_width": 9.0}, "cutoff_width 9.0 must lie between 0 and the cutoff 4.5"),
        ({"frames": {"margin": 5.0}}, "margin 5.0 must be smaller than the cutoff"),
        ({"frames": {"axial_copies": 5}}, "axial_copies is 5"),
        ({"frames": {"margin": -0.2}}, "margin is -0.2; it must be a number of at least 0.001"),
        ({"frames": {"margin": float("nan")}}, "margin is nan"),
        ({"frames": {"axis_margin": 0.0}}, "axis_margin is 0.0"),
        ({"frames": {"spread_width": 0.001}}, "sin2_width is 0.001"),
        ({"frames": {"pruning_fraction": 1.0}}, r"pruning_width is 1.1; give at most 1"),
        ({"frames": {"pruning_width": 0.0}}, "pruning_width is 0.0"),
        ({"properties": {"stress": 2}}, "the name of a result that every model gives"),
        ({"block": "paper", "node_width": 8, "width": 16}, "node_width is 8 and width 16"),
        ({"properties": {"dipole": 3}}, "property 'dipole' of rank 3 is not possible"),
        ({"adaptive_method": "guess"}, "adaptive_method is 'guess'; it must be one of solver"),
        ({"adaptive_width": 0.0}, "adaptive_width is 0.0; it must be positive"),
        ({"heads": 0}, "heads is 0; it must be at least 1"),
        ({"message_layers": 0}, "message_layers is 0; it must be at least 1"),
        ({"frames": {"axial_threshold": 0.0}}, "axial_threshold is 0.0; it must be a number of"),
        ({"adaptive_neighbors": 0.0}, "adaptive_neighbors is 0.0; it must be positive"),
        ({"combination_normalization": "batch"}, "combination_normalization is 'batch'"),
        ({"zbl_radii": [0.3, 0.4]}, "zbl_radii has 2 numbers for 1 species"),
        ({"zbl_radii": [-1.0]}, "zbl_radii contains -1.0; give positive numbers, in angstrom"),
        ({"zbl_radii": [0.0]}, "zbl_radii contains 0.0; give positive numbers, in angstrom"),
        (
            {"block": "paper", "node_width": 64, "final_combination": True},
            "final_combination is for the modern",
        ),
    ],
)
def test_wrong_values(values, message):
    with pytest.raises(ValueError, match=message):
        Hyperparameters.from_dict({"species": [1], **values})


@pytest.mark.parametrize("hyper", [MODERN, NEAREST, PAPER, FOREIGN, FOREIGN_PAPER])
def test_dictionary_is_flat_and_keeps_everything(hyper):
    data = json.loads(json.dumps(hyper.to_dict()))
    assert Hyperparameters.from_dict(data) == hyper
    assert set(data) == set(flat_fields())
    assert data["largest_spin"] == hyper.foreign.largest_spin


@pytest.mark.parametrize("name", shipped_models())
def test_files_are_written_as_they_were(name):
    """The mapping that a shipped model file holds comes back unchanged."""
    with safe_open(find_model(name), framework="pt") as file:
        stored = json.loads(file.metadata()["hyperparameters"])
    again = json.loads(json.dumps(Hyperparameters.from_dict(stored).to_dict()))
    assert {key: again[key] for key in stored} == stored


def test_distances():
    """How far neighbors are listed, and over how many such distances energies depend."""
    assert (MODERN.neighbor_cutoff, MODERN.exchanges, MODERN.depth) == (3.5, 1, 2)
    assert (FOREIGN.neighbor_cutoff, FOREIGN.exchanges, FOREIGN.depth) == (4.5, 2, 4)
    assert FOREIGN_PAPER.neighbor_cutoff == 4.0 > FOREIGN_PAPER.cutoff
    assert FOREIGN_PAPER.depth == 3
