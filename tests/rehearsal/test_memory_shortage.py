"""Memory of the GPU: what is free, and what happens where it is short."""

from __future__ import annotations

import gc
import warnings

import numpy as np
import pytest
import torch
from pretended_gpu import OnGpu, PretendedGpu

from pet_driver.evaluation.potential import Potential
from pet_driver.runtime.devices import free_memory


def test_what_torch_holds_unused_is_free():
    with PretendedGpu(free=50_000_000, unused=10_000_000_000):
        assert free_memory(torch.device("cuda")) == 10_050_000_000


def test_little_free_memory_does_not_make_many_launches(small_box, checkpoint):
    """The allocator of a long run holds nearly all memory, and the driver calls little free."""
    counts = []
    for free, unused in ((80_000_000_000, 0), (5_000_000, 70_000_000_000)):
        with PretendedGpu(free=free, unused=unused) as gpu:
            Potential(checkpoint, device="cuda").compute(small_box)
            counts.append(gpu.account.kernels.total())
    assert counts[0] == counts[1]
    with PretendedGpu(free=5_000_000) as gpu:  # and nothing unused
        Potential(checkpoint, device="cuda").compute(small_box)
        assert gpu.account.kernels.total() > counts[0]


@pytest.mark.filterwarnings("ignore:out of memory")
@pytest.mark.parametrize("launches", [100, 220, 300], ids=["forward", "backward", "its end"])
def test_shortage(launches, small_box, checkpoint, monkeypatch):
    """The chunk is halved after the tensors of the failed evaluation are gone; later it grows."""
    expected = Potential(checkpoint, dtype="float64", scope="none").compute(small_box)
    with PretendedGpu() as gpu:
        options = {"dtype": "float64", "device": "cuda", "scope": "none"}
        potential = Potential(checkpoint, resident=False, **options)
        potential.compute(small_box)
        gc.collect()
        before, at_release = _tensors(), []
        monkeypatch.setattr(torch.cuda, "empty_cache", lambda: at_release.append(_tensors()))
        gpu.short_at = {gpu.launches + launches}
        found = potential.compute(small_box)
        # Of the evaluation only what it is given is still there: the graph.
        assert len(at_release) == 1
        assert at_release[0] <= before + 12
        assert potential.chunking.chunk == len(small_box) // 2
        for _ in range(20):
            potential.compute(small_box)
        assert potential.chunking.chunk is None
    np.testing.assert_allclose(found.forces, expected.forces, atol=1e-11)


def test_shortage_with_fixed_sizes(small_box, checkpoint):
    """The evaluation goes on in parts, in this step and in later ones, and says so once."""
    expected = Potential(checkpoint, dtype="float64", scope="none").compute(small_box)
    with PretendedGpu() as gpu:
        potential = Potential(checkpoint, dtype="float64", device="cuda", scope="none")
        for _ in range(2):
            potential.compute(small_box)
        gpu.short_at = {gpu.launches + 200}
        with pytest.warns(UserWarning, match="out of memory on cuda: going on without tables"):
            found = potential.compute(small_box)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            again = potential.compute(small_box)
    for x in (found, again):
        np.testing.assert_allclose(x.forces, expected.forces, atol=1e-11)


def _tensors() -> int:
    """Number of tensors on the GPU."""
    return sum(type(x) is OnGpu for x in gc.get_objects())
