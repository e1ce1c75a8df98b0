"""TF32 and reproducible sums are in force during an evaluation, and not after it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pretended_gpu import PretendedGpu

from pet_driver import PetDriverError
from pet_driver.evaluation.potential import Potential


class Watching(PretendedGpu):
    """Notes the settings of torch under which kernels were launched.

    settings: of matrix products, TF32 and deterministic; sums: of additions to rows by index,
    deterministic
    """

    def __init__(self) -> None:
        super().__init__()
        self.settings: set[tuple[bool, bool]] = set()
        self.sums: set[bool] = set()

    def run(self, func, args, kwargs):
        tf32 = torch.backends.cuda.matmul.fp32_precision == "tf32"
        if "mm" in func._schema.name:
            self.settings.add((tf32, torch.are_deterministic_algorithms_enabled()))
        if "index_add" in func._schema.name:
            self.sums.add(torch.are_deterministic_algorithms_enabled())
        return super().run(func, args, kwargs)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (False, False)),
        ({"precision": "tf32"}, (True, False)),
        ({"deterministic": True}, (False, True)),
    ],
    ids=["default", "tf32", "deterministic"],
)
def test_settings(checkpoint, molecule, options, expected):
    plain = Potential(checkpoint).compute(molecule)
    with Watching() as gpu:
        potential = Potential(checkpoint, device="cuda", **options)
        gpu.settings.clear()  # of the loading
        found = potential.compute(molecule)
        assert gpu.settings == {expected}
        assert not torch.backends.cuda.matmul.allow_tf32
        assert not torch.are_deterministic_algorithms_enabled()
    np.testing.assert_allclose(found.forces, plain.forces, atol=1e-4)


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize(
    "evaluate",
    [
        lambda potential, atoms: potential.compute(atoms),
        lambda potential, atoms: potential.symmetrization_forces([atoms]),
    ],
    ids=["compute", "symmetrization forces"],
)
def test_forces_are_assembled_under_the_settings(checkpoint, molecule, evaluate, deterministic):
    with Watching() as gpu:
        potential = Potential(checkpoint, device="cuda", deterministic=deterministic)
        gpu.sums.clear()
        evaluate(potential, molecule)
        assert gpu.sums == {deterministic}
        assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("options", [{"device": "cpu"}, {"device": "cuda", "dtype": "float64"}])
def test_tf32_is_for_float32_on_a_gpu(checkpoint, options):
    with PretendedGpu(), pytest.raises(PetDriverError, match="TF32 is for float32 on a GPU"):
        Potential(checkpoint, precision="tf32", **options)
