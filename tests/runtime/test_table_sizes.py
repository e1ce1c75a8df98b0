"""Sizes of tables: measured ones suffice, fixed ones are noted where they do not."""

import pytest
import torch

from pet_driver.runtime.table_sizes import FixedSizes, MeasuredSizes

MASK = torch.tensor([False, True, False, True, True, False])
ROWS = torch.tensor([[1.0, 2.0, 3.0], [1.0, 1.5, 4.0]])
CPU = torch.device("cpu")


def test_measured_sizes():
    sizes = MeasuredSizes()
    assert sizes.of("table", torch.tensor([2, 5, 3])) == 5
    assert sizes.of("table", torch.tensor([4])) == 4
    indices, counts = sizes.chosen("rows", MASK)
    assert indices.tolist() == [1, 3, 4]
    assert counts is None
    assert sizes.found == {"table": 5, "rows": 3}
    assert not sizes.wrong
    sizes.note(torch.tensor(False))
    sizes.note(torch.tensor(True))
    sizes.note(torch.tensor(False))
    assert sizes.wrong


@pytest.mark.parametrize(("size", "wrong"), [(3, False), (5, False), (2, True)])
def test_fixed_sizes(size, wrong):
    sizes = FixedSizes({"table": size, "rows": size}, CPU)
    assert sizes.of("table", torch.tensor([1, 3, 2])) == size
    assert bool(sizes.wrong) == wrong
    sizes = FixedSizes({"rows": size}, CPU)
    indices, counts = sizes.chosen("rows", MASK)
    assert bool(sizes.wrong) == wrong
    assert counts is not None
    assert indices[counts].tolist() == [1, 3, 4][:size]
    assert set(indices[~counts].tolist()) <= {4}
    assert len(indices) == size


def test_measured_sizes_of_rows_that_ascend():
    sizes, ends = MeasuredSizes(), torch.tensor([[3.5], [0.0]])
    assert sizes.within("one end", ROWS, 2.5) == 2
    assert sizes.within("an end for each", ROWS, ends) == 3
    assert sizes.within("none", ROWS, 0.5) == 1
    assert sizes.found == {"one end": 2, "an end for each": 3, "none": 0}


@pytest.mark.parametrize(("size", "wrong"), [(0, True), (1, True), (2, False), (3, False)])
def test_fixed_sizes_of_rows_that_ascend(size, wrong):
    """At least one column, and no more than there are."""
    sizes = FixedSizes({"rows": size, "many": size + 3}, CPU)
    assert sizes.within("many", ROWS, 2.5) == 3
    assert not sizes.wrong
    assert sizes.within("rows", ROWS, 2.5) == max(size, 1)
    assert bool(sizes.wrong) == wrong


def test_no_room_at_all():
    sizes = FixedSizes({"rows": 0}, CPU)
    indices, _ = sizes.chosen("rows", torch.zeros(4, dtype=torch.bool))
    assert len(indices) == 0
    assert not sizes.wrong
    sizes.chosen("rows", MASK)
    assert sizes.wrong
