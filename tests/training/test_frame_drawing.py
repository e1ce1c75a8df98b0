"""How long a training draws frames where its options do not say so."""

from __future__ import annotations

import ase.io
import pytest
import yaml

from labelled import OPTIONS, crystals, molecules
from pet_driver.training import Training, read_options
from pet_driver.training.frame_drawing import FEW_FRAMES, frames_per_atom

KEYS = {"molecules": {}, "crystals": {"energy_key": "E", "forces_key": "F"}}


def training(folder, structures, scope="layer", **fit):
    """A training of crystals, which have many frames, or of molecules, which have few."""
    frames = crystals(4) if structures == "crystals" else molecules(8)
    ase.io.write(folder / "data.xyz", frames, format="extxyz")
    content = {
        "name": "tiny",
        "data": {"file": "data.xyz", "validation": 1, "test": 0, **KEYS[structures]},
        "model": {**OPTIONS["model"], "cutoff": 4.5, "scope": scope, "frames": "accuracy"},
        "fit": {"steps": 10, **fit},
    }
    path = folder / "options.yaml"
    path.write_text(yaml.safe_dump(content))
    return Training(read_options(path), folder, folder / "out")


@pytest.mark.parametrize(("structures", "share"), [("molecules", 0.0), ("crystals", 0.6)])
def test_frames_are_drawn_where_atoms_have_many(tmp_path, structures, share):
    made = training(tmp_path, structures)
    count = frames_per_atom(made.state.network, made.batches, made.split.training)
    assert (count > FEW_FRAMES) == (share > 0.0)
    assert made.options.fit.sampled_share == made.schedule.fit.sampled_share == share
    assert made.schedule.sampled(5, 0.0) == (share > 0.0)
    assert not made.schedule.sampled(6, 0.0)


@pytest.mark.parametrize(
    ("structures", "scope", "given", "share"),
    [
        ("molecules", "layer", 0.5, 0.5),
        ("crystals", "layer", 0.0, 0.0),
        ("crystals", "none", None, 0.0),
    ],
)
def test_a_given_share_stays(tmp_path, structures, scope, given, share):
    made = training(tmp_path, structures, scope, sampled_share=given)
    assert made.options.fit.sampled_share == share
