"""The pretended GPU notices what CUDA would."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pretended_gpu import PretendedGpu


@pytest.fixture
def there():
    with PretendedGpu(count=2):
        yield torch.ones(3, device="cuda")


@pytest.mark.parametrize(
    "mistake",
    [
        lambda x: x + torch.ones(3),
        lambda x: x.index_select(0, torch.tensor([0])),
        lambda x: x.numpy(),
        lambda x: np.asarray(x),
        lambda x: torch.cat([x, torch.ones(3)]),
        lambda x: x + torch.ones(3, device="cuda:1"),
        lambda x: torch.layer_norm(x.double(), (3,), x, x),
    ],
    ids=["sum", "index", "numpy", "array", "cat", "devices", "dtypes"],
)
def test_mistakes(there, mistake):
    with pytest.raises((RuntimeError, TypeError)):
        mistake(there)


def test_what_is_allowed(there):
    assert (there * torch.tensor(2.0)).tolist() == [2.0, 2.0, 2.0]
    assert there[torch.tensor([0, 2])].device.type == "cuda"


def test_counts():
    with PretendedGpu() as gpu:
        x = torch.arange(4.0).to("cuda", non_blocking=True)
        y = torch.zeros(4, device="cuda").index_put((torch.tensor([0, 0]),), x[:2], accumulate=True)
        assert y.sum().item() == 1.0
        account = gpu.reset()
    assert account.uploads.total() == 2  # x, and the index
    assert account.bytes_up == 16
    assert account.waits.total() == 1  # of item()
    assert account.sorts.total() == 1
    assert account.kernels == {"zeros": 1, "index_put": 1, "sum": 1}


def test_gradients_pass_through():
    with PretendedGpu() as gpu:
        x = torch.ones(3, device="cuda", requires_grad=True)
        (x * x).sum().backward()
        assert x.grad is not None
        assert x.grad.device == torch.device("cuda", 0)
        assert x.grad.tolist() == [2.0, 2.0, 2.0]
        assert gpu.account.kernels["mul"] >= 2


def test_shortage():
    with PretendedGpu(short_at=(1,)):
        x = torch.ones(3, device="cuda")
        with pytest.raises(torch.OutOfMemoryError):
            x + x
        assert (x + x).tolist() == [2.0, 2.0, 2.0]
