"""Training steps give the same on the GPU as on the CPU."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
import yaml
from pretended_gpu import PretendedGpu

from labelled import OPTIONS, molecules
from pet_driver.training import Training, read_options

DATA = {**OPTIONS["data"], "property_keys": {"dipole": "mu"}, "property_units": {"dipole": "e*A"}}
MODEL = {**OPTIONS["model"], "node_width": 24, "properties": {"dipole": 1}}
FIT = {
    **OPTIONS["fit"],
    "energy_variance_weight": 1.0,
    "message_variance_weight": 1.0,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("training")
    ase.io.write(path / "data.xyz", molecules(12), format="extxyz")
    return path


def started(folder, name, device, normalization="layer", **fit):
    options = folder / f"{name}.yaml"
    model = {**MODEL, "normalization": normalization}
    content = {**OPTIONS, "data": DATA, "model": model, "fit": {**FIT, **fit}}
    options.write_text(yaml.safe_dump(content))
    return Training(read_options(options), folder, folder / name, device=device)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("sampled_share", [0.0, 1.0], ids=["all frames", "drawn frames"])
def test_steps(folder, optimizer, sampled_share):
    fit = {"optimizer": optimizer, "sampled_share": sampled_share}
    name = f"{optimizer}_{sampled_share}"
    on_cpu = started(folder, f"cpu_{name}", "cpu", **fit)
    expected = [on_cpu.take_step() for _ in range(2)]
    with PretendedGpu() as gpu:
        run = started(folder, f"gpu_{name}", "cuda", **fit)
        found = [run.take_step() for _ in range(2)]
        assert gpu.account.kernels.total() > 1000
        weights = {key: p.detach().cpu() for key, p in run.state.network.named_parameters()}
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    for key, p in on_cpu.state.network.named_parameters():
        # Single weights differ more, where rounding decides the sign of a gradient.
        assert (weights[key] - p.detach()).norm() < 1e-3 * p.detach().norm() + 1e-4


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("normalization", ["layer", "rms"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_precisions(folder, precision, normalization):
    """A dtype that CUDA's kernels do not take beside another fails here too."""
    with PretendedGpu():
        name = f"{precision}_{normalization}"
        run = started(folder, name, "cuda", normalization, precision=precision)
        assert np.isfinite(run.take_step())
