"""Models that were converted from metatrain give the same on the GPU as on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from pretended_gpu import PretendedGpu

from helpers import ROOT
from pet_driver.evaluation.potential import Potential
from pet_driver.files.conversion import convert

WRITTEN = sorted((ROOT / "tests" / "data" / "metatrain").glob("*.ckpt"))


def structures(reference):
    """The first two structures, and the last one, which is a single atom."""
    count = int(reference["count"])
    for k in (0, 1, count - 1):
        values = {
            name: reference[f"{k}_{name}"] for name in ("numbers", "positions", "cell", "pbc")
        }
        atoms = Atoms(**values)
        for name in ("charge", "spin"):
            if f"{k}_{name}" in reference.files:
                atoms.info[name] = int(reference[f"{k}_{name}"])
        yield atoms


def results(checkpoint, listed, device):
    potential = Potential(checkpoint, dtype="float64", device=device)
    found = {"": potential.compute(listed)}
    if "non_conservative_forces" in dict(potential.hyper.properties):
        found["direct"] = potential.direct().compute(listed)
    uncertainty = potential.energy_uncertainty(listed) if potential.has_uncertainty else None
    return found, uncertainty


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
def test_same_numbers(path):
    reference = np.load(path.with_suffix(".npz"))
    checkpoint = convert(path, str(reference["variant"]) or None)
    listed = list(structures(reference))
    expected, wanted = results(checkpoint, listed, "cpu")
    with PretendedGpu():
        found, uncertainty = results(checkpoint, listed, "cuda")
    for name, predictions in expected.items():
        for x, y in zip(found[name], predictions, strict=True):
            same(x.energies, y.energies, "energies")
            same(x.forces, y.forces, f"{name} forces")
            same(x.virial, y.virial, f"{name} virial")
            for key, values in {**y.vectors, **y.tensors}.items():
                same({**x.vectors, **x.tensors}[key], values, key)
    if wanted is not None:
        same(uncertainty, wanted, "uncertainty")
    assert path.stem.startswith("uncertain") == (wanted is not None)


def same(found, wanted, name):
    scale = max(float(np.abs(wanted).max(initial=0.0)), 1.0)
    np.testing.assert_allclose(found, wanted, rtol=0.0, atol=1e-11 * scale, err_msg=name)
