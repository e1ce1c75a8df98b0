"""How long a training draws frames where its options do not say so."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
import yaml
from ase import Atoms

from labelled import OPTIONS, crystals, molecules
from pet_driver.training import Training, read_options
from pet_driver.training.frame_drawing import FEW_FRAMES, frames_per_atom

_KEYS = {"energy_key": "E", "forces_key": "F"}
KEYS = {"molecules": {}, "crystals": _KEYS, "sorted": _KEYS}


def made(structures):
    """Crystals, whose atoms have many frames, molecules, whose atoms have few, or atoms first."""
    if structures == "molecules":
        return molecules(8)
    alone = []
    for k in range(10 if structures == "sorted" else 0):
        atom = Atoms("Ar", [[0.1 * k, 0.0, 0.0]])
        atom.info["E"], atom.arrays["F"] = 0.0, np.zeros((1, 3))
        alone.append(atom)
    return [*alone, *crystals(6)]


def training(folder, structures, scope="layer", **fit):
    """A training, not yet begun."""
    frames = made(structures)
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


@pytest.mark.parametrize(
    ("structures", "share"), [("molecules", 0.0), ("crystals", 0.6), ("sorted", 0.6)]
)
def test_frames_are_drawn_where_atoms_have_many(tmp_path, structures, share):
    run = training(tmp_path, structures)
    count = frames_per_atom(run.state.network, run.batches, run.split.training)
    assert (count > FEW_FRAMES) == (share > 0.0)
    assert run.options.fit.sampled_share == run.schedule.fit.sampled_share == share
    assert run.schedule.sampled(5, 0.0) == (share > 0.0)
    assert not run.schedule.sampled(6, 0.0)


@pytest.mark.parametrize(
    ("structures", "scope", "given", "share"),
    [
        ("molecules", "layer", 0.5, 0.5),
        ("crystals", "layer", 0.0, 0.0),
        ("crystals", "none", None, 0.0),
    ],
)
def test_a_given_share_stays(tmp_path, structures, scope, given, share):
    run = training(tmp_path, structures, scope, sampled_share=given)
    assert run.options.fit.sampled_share == share


def test_turns_without_drawn_frames_are_doubted(tmp_path):
    with pytest.warns(UserWarning, match="random_turns has no effect"):
        training(tmp_path, "molecules", random_turns=True)
