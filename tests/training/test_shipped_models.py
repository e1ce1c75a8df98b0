"""The errors on the cards of shipped models, evaluated again where the data are at hand."""

from __future__ import annotations

import pytest

from helpers import ROOT, SHARED
from pet_driver.evaluation.potential import load_model
from pet_driver.training.accuracy import SYMMETRIZATION, summary
from pet_driver.training.data import read_split
from pet_driver.training.options_file import read_options
from pet_driver.training.report import compared

# Where the data are, and what the errors must not exceed: meV/atom and meV/angstrom.
MODELS = {
    "water": ("water_cheng_revpbe0d3", {"energy": 1.6, "force": 75.0}),
    "silicon": ("mlearn", {"energy": 4.0, "force": 115.0}),
    "dipeptides": ("spice_dipeptides", {}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_errors_on_the_card_are_those_of_held_out_structures(name):
    part, bounds = MODELS[name]
    folder = SHARED / "data" / part
    if not folder.is_dir():
        pytest.skip(f"the data of {name} are not at hand: no folder {folder}")
    potential = load_model(name)
    options = read_options(ROOT / "pet_driver" / "models" / f"{name}.yaml")
    split = read_split(folder, options.data, dict(potential.hyper.properties))
    assert split.indices() == potential.card["data"]["indices"]
    errors = errors_of(potential, split.test)
    assert errors == pytest.approx(potential.card["errors"]["test"], rel=1e-3)
    for quantity, bound in bounds.items():
        (key,) = [key for key in errors if key.startswith(f"{quantity}_rmse")]
        assert errors[key] <= bound


def errors_of(potential, frames):
    """As on a card; four structures at a time."""
    comparisons = []
    for start in range(0, len(frames), 4):
        some = frames[start : start + 4]
        structures = [frame.system.to_atoms() for frame in some]
        found = compared(some, potential.compute(structures))
        if SYMMETRIZATION in potential.card["errors"]["test"]:  # not on the cards of older models
            for one, forces in zip(found, potential.symmetrization_forces(structures), strict=True):
                one.symmetrization = forces
        comparisons += found
    return summary(comparisons, mean_absolute=True)
