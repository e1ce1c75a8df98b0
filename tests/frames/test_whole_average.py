"""Averages of all samples at once, in one table or in classes, against averages in parts."""

import pytest
import torch

from pet_driver.frames import FrameAverage, FrameSet
from pet_driver.frames.samples import slots_taken
from pet_driver.frames.whole_average import WIDTHS, WholeAverage, WidthClasses, class_ends
from pet_driver.runtime.table_sizes import FixedSizes, MeasuredSizes

N_CENTRES, WIDTH = 2500, 12
CPU = torch.device("cpu")


def evaluate(frames, edge_tables, node):
    """A scalar, a vector and a table of the edges of each sample, the last as wide as all tables.

    Values of free slots are zero, as those of a network are that is weighted by its cutoff.
    """
    vectors, factors = edge_tables
    turned = vectors if frames is None else vectors @ frames
    terms = factors * (turned.sin() * node[:, :1, None])
    vector = terms.sum(1)
    missing = WIDTH - terms.shape[1]
    table = torch.nn.functional.pad(terms, (0, 0, 0, missing))
    return [vector.square().sum(1) + node[:, 1], vector, table]


@pytest.fixture
def valid():
    """Rows with 0 to all slots taken, and a row with a free slot between others."""
    generator = torch.Generator().manual_seed(3)
    counts = torch.randint(0, WIDTH + 1, (N_CENTRES,), generator=generator)
    table = torch.arange(WIDTH)[None] < counts[:, None]
    table[7] = torch.arange(WIDTH) < 5
    table[7, 2] = False
    return table


@pytest.fixture
def tables():
    """Vectors, factors and nodes, all with gradients."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(N_CENTRES, WIDTH, 3, dtype=torch.float64, generator=generator)
    factors = torch.rand(N_CENTRES, WIDTH, 1, dtype=torch.float64, generator=generator)
    node = torch.randn(N_CENTRES, 2, dtype=torch.float64, generator=generator)
    return [x.requires_grad_() for x in (vectors, factors, node)]


@pytest.fixture
def frame_set():
    """One to four frames of each centre; the last of all has no weight."""
    generator = torch.Generator().manual_seed(1)
    counts = torch.randint(1, 5, (N_CENTRES,), generator=generator)
    centre = torch.arange(N_CENTRES).repeat_interleave(counts)
    weights = torch.rand(len(centre), dtype=torch.float64, generator=generator)
    totals = torch.zeros(N_CENTRES, dtype=torch.float64).index_add(0, centre, weights)
    weights = torch.cat([weights / totals[centre], torch.zeros(1, dtype=torch.float64)])
    centre = torch.cat([centre, centre[-1:]])
    frames = torch.randn(len(centre), 3, 3, dtype=torch.float64, generator=generator)
    frames, weights = frames.requires_grad_(), weights.requires_grad_()
    return FrameSet(centre, frames, weights, N_CENTRES)


def results(average, tables, valid, inputs):
    """Averages, variances, and the gradients of a sum of all averages."""
    vectors, factors, node = tables
    edges = [vectors, factors * valid[..., None]]
    means, variances = average(evaluate, edges, node, variances=True)
    scale = torch.linspace(0.1, 2.0, len(node), dtype=torch.float64)
    total = sum((x * scale.view(-1, *(1,) * (x.dim() - 1))).sum() for x in means)
    return [*means, *variances, *torch.autograd.grad(total, inputs)]


@pytest.mark.parametrize("divided", [True, False])
def test_frames(tables, frame_set, valid, divided):
    classes = WidthClasses.of(valid, frame_set, MeasuredSizes()) if divided else None
    if classes is not None:
        assert classes.widths[0] < classes.widths[-1] == WIDTH
    inputs = [*tables, frame_set.frames, frame_set.weights]
    found = results(WholeAverage(frame_set, classes), tables, valid, inputs)
    in_parts = FrameAverage(slots_taken(valid), frame_set, None)
    for x, y in zip(found, results(in_parts, tables, valid, inputs), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("copies", [1, 2, 5])
def test_no_frames(tables, valid, copies):
    """One, two and four classes."""
    tables = [x.detach().repeat(copies, *(1,) * (x.dim() - 1)) for x in tables]
    tables, valid = [x.requires_grad_() for x in tables], valid.repeat(copies, 1)
    classes = WidthClasses.of(valid, None, MeasuredSizes())
    assert len(classes.widths if classes else (WIDTH,)) == {1: 1, 2: 2, 5: 4}[copies]
    found = results(WholeAverage(None, classes), tables, valid, tables)
    in_parts = FrameAverage(slots_taken(valid), None, None)
    for x, y in zip(found, results(in_parts, tables, valid, tables), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-12)


def test_a_free_slot_between_others(valid):
    assert int(slots_taken(valid)[7]) == 5
    assert int(valid[7].sum()) == 4


def test_fixed_widths_that_do_not_suffice_are_noted(valid, frame_set):
    """As of every table of a fixed size, the host learns it with the results."""
    measured = MeasuredSizes()
    WidthClasses.of(valid, frame_set, measured)
    fitting = FixedSizes(measured.found, CPU)
    WidthClasses.of(valid, frame_set, fitting)
    assert not fitting.wrong
    narrower = {name: size - name.startswith(WIDTHS) for name, size in measured.found.items()}
    less = FixedSizes(narrower, CPU)
    WidthClasses.of(valid, frame_set, less)
    assert less.wrong


def test_few_samples_are_not_divided(valid):
    """Each class has kernels of its own, which cost more than the padding of few samples."""
    assert WidthClasses.of(valid[:1000], None, MeasuredSizes()) is None
    assert class_ends(192) == ()
    assert len(class_ends(3500)) == 1
    assert len(class_ends(7000)) == 2
    assert len(class_ends(10**6)) == 3
