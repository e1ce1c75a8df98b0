"""Softmax in passes over all rows, against torch's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pet_driver.model.softmax import LOG2_E, softmax, softmax_gradient, softmax_of_base_2


def logits(count: int, scale: float) -> Tensor:
    """Logits (20, 3, count), of which some columns are masked, float64."""
    generator = torch.Generator().manual_seed(count)
    x = scale * torch.randn(20, 3, count, generator=generator, dtype=torch.float64)
    x[::2, :, count // 2 + 1 :] = -1e9
    return x


@pytest.mark.parametrize("count", [1, 2, 7, 15, 16, 17, 33])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
def test_equals_that_of_torch(count: int, scale: float) -> None:
    x = logits(count, scale)
    torch.testing.assert_close(softmax(x), torch.softmax(x, -1), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("scale", [1.0, 50.0, 1e4])
def test_rows_of_float32_add_up_to_one_however_large_the_logits(scale: float) -> None:
    x = logits(12, scale).float()
    found = softmax(x)
    torch.testing.assert_close(found.sum(-1), torch.ones(20, 3))
    torch.testing.assert_close(found, torch.softmax(x, -1), rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("offset", [-500.0, 500.0])
def test_one_row_far_from_the_others(offset: float) -> None:
    x = logits(9, 1.0).float()
    x[3, 1] += offset  # its powers are 0 or infinite in float32
    torch.testing.assert_close(softmax(x), torch.softmax(x, -1), rtol=1e-4, atol=1e-7)


def test_overwrites_the_logits() -> None:
    x = logits(5, 1.0)
    expected = torch.softmax(x / LOG2_E, -1)
    assert softmax_of_base_2(x) is x
    torch.testing.assert_close(x, expected)


def test_not_a_number_stays_in_its_row() -> None:
    x = logits(6, 1.0)
    x[4, 2, 3] = torch.nan
    found = softmax(x)
    assert found[4, 2].isnan().all()
    assert found.isnan().sum() == 6


def test_bfloat16_is_as_exact_as_it_can_be() -> None:
    x = logits(11, 2.0).bfloat16()
    torch.testing.assert_close(softmax(x), torch.softmax(x.double(), -1).bfloat16())


def test_without_rows() -> None:
    assert softmax(torch.zeros(0, 4)).shape == (0, 4)


@pytest.mark.parametrize("count", [1, 7, 15, 33])
def test_gradient_equals_that_of_torch(count: int) -> None:
    x = logits(count, 2.0).requires_grad_(True)
    generator = torch.Generator().manual_seed(0)
    outer = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    weights = torch.softmax(x, -1)
    (expected,) = torch.autograd.grad(weights, x, outer)
    torch.testing.assert_close(softmax_gradient(outer, weights.detach()), expected)
