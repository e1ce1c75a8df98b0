"""Every configuration gives the same numbers on the GPU as on the CPU, without mixing devices."""

from __future__ import annotations

import numpy as np
import pytest
from cases import CASES, MOLECULES
from pretended_gpu import PretendedGpu
from small_structures import shaken

from helpers import CONTRAST
from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import random_checkpoint
from pet_driver.frames.whole_average import CLASSES, WIDTHS, class_ends
from pet_driver.graph import NEIGHBORS, SEEN


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
@pytest.mark.parametrize("case", CASES)
def test_same_numbers(case, device):
    hyper, options = CASES[case]
    checkpoint = random_checkpoint(hyper)
    expected = Potential(checkpoint, dtype="float64", **options).compute(MOLECULES)
    with PretendedGpu(count=2) as gpu:
        potential = Potential(checkpoint, dtype="float64", device=device, **options)
        found = potential.compute(MOLECULES)
        assert gpu.account.kernels.total() > 100
    same(found, expected)


def evaluated_again(checkpoint, structures, expected, options):
    """A potential on the GPU that has evaluated them four times, and its waits in the last step."""
    with PretendedGpu() as gpu:
        potential = Potential(checkpoint, dtype="float64", device="cuda", **options)
        for _ in range(4):
            gpu.reset()
            same(potential.compute(structures), expected)
        return potential, gpu.reset().totals()["waits"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES)
def test_same_numbers_again_and_again(case):
    """Atoms that come again: in parts, with measured sizes of tables, with fixed ones."""
    hyper, options = CASES[case]
    checkpoint = random_checkpoint(hyper)
    bent = [MOLECULES[0], MOLECULES[2]]
    for structures in (bent, MOLECULES):  # with atoms on a line sizes stay measured
        expected = Potential(checkpoint, dtype="float64", **options).compute(structures)
        potential, waits = evaluated_again(checkpoint, structures, expected, options)
        if potential.scope in ("layer", "none") and not options.keys() & {"chunk", "memory_share"}:
            assert (waits == 1) == (structures is bent or potential.scope == "none")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", ["layer", "none", "foreign"])
def test_many_samples(case):
    """Their tables are divided by width, and no wider than each class needs."""
    hyper, options = CASES[case]
    checkpoint = random_checkpoint(hyper)
    counts = {"layer": (400, 40), "none": (900, 100), "foreign": (700, 170)}[case]
    structures = counts[0] * MOLECULES[:1] + counts[1] * MOLECULES[2:3]
    expected = Potential(checkpoint, dtype="float64", **options).compute(structures)
    potential, waits = evaluated_again(checkpoint, structures, expected, options)
    assert waits == 1
    (kept,) = [x for x in potential.resident._kept.values() if x is not None]
    sizes = kept[1].sizes
    assert sizes[f"{WIDTHS}1"] < sizes.get(SEEN, sizes[NEIGHBORS])


@pytest.mark.filterwarnings("ignore")
def test_samples_that_are_divided_with_slack_only(water_box):
    """As many as are found make one class; the table of fixed size, with its slack, has more."""
    checkpoint = random_checkpoint(CONTRAST)
    options = {"dtype": "float64", "extra_rotations": 12}
    with PretendedGpu():
        potential = Potential(checkpoint, device="cuda", **options)
        for seed in range(4):
            atoms = shaken(water_box, seed, 1e-4)
            found = potential.compute(atoms)
        (kept,) = [x for x in potential.resident._kept.values() if x is not None]
    n_samples = 13 * kept[1].sizes["frames"]
    assert len(class_ends(n_samples)) + 1 > kept[1].sizes[CLASSES]
    same([found], [Potential(checkpoint, **options).compute(atoms)])


def same(found, expected):
    """Compare predictions."""
    for x, y in zip(found, expected, strict=True):
        assert x.energy == pytest.approx(y.energy, rel=1e-12)
        np.testing.assert_allclose(x.forces, y.forces, atol=1e-11)
        for outputs, name in ((y.vectors, "vectors"), (y.tensors, "tensors")):
            for key, values in outputs.items():
                np.testing.assert_allclose(getattr(x, name)[key], values, atol=1e-11)
