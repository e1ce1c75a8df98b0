"""Averages over frames, against loops over centres and samples."""

import pytest
import torch

from pet_driver.frames import FrameAverage, FrameSet, in_parts
from pet_driver.frames.average import FirstCentres, _part_sizes

N_NEIGHBORS = torch.tensor([3, 0, 5, 2])
COUNTS = torch.tensor([2, 1, 4, 3])


@pytest.fixture
def tables():
    """Edge table, zero where there is no neighbor, and node table."""
    generator = torch.Generator().manual_seed(0)
    edges = torch.randn(4, 5, 3, dtype=torch.float64, generator=generator)
    edges = edges * (torch.arange(5)[None] < N_NEIGHBORS[:, None])[..., None]
    return edges, torch.randn(4, 2, dtype=torch.float64, generator=generator)


@pytest.fixture
def frame_set():
    generator = torch.Generator().manual_seed(1)
    centre = torch.arange(4).repeat_interleave(COUNTS)
    frames = torch.randn(len(centre), 3, 3, dtype=torch.float64, generator=generator)
    weights = torch.rand(len(centre), dtype=torch.float64, generator=generator)
    totals = torch.zeros(4, dtype=torch.float64).index_add(0, centre, weights)
    return FrameSet(centre, frames, weights / totals[centre], 4)


def evaluate(frames, edge_tables, node):
    """A scalar and a vector of each sample."""
    (edges,) = edge_tables
    turned = edges if frames is None else edges @ frames
    vector = (turned.sin() * node[:, :1, None]).sum(1)
    return [vector.square().sum(1) + node[:, 1], vector]


def expected(tables, frame_set):
    edges, node = tables
    moments = []
    for k in range(4):
        own = frame_set.centre == k
        count = int(own.sum())
        copies = [x[k : k + 1].expand(count, *x.shape[1:]) for x in (edges, node)]
        values = evaluate(frame_set.frames[own], copies[:1], copies[1])
        for x in values:
            weights = frame_set.weights[own].view(-1, *(1,) * (x.dim() - 1))
            mean = (weights * x).sum(0)
            moments.append((mean, (weights * (x - mean) ** 2).sum(0)))
    means = [torch.stack([m for m, _ in moments[k::2]]) for k in (0, 1)]
    return means, [torch.stack([v for _, v in moments[k::2]]) for k in (0, 1)]


@pytest.mark.parametrize("chunk", [None, 3, 1])
def test_averages_and_variances(tables, frame_set, chunk):
    edges, node = tables
    average = FrameAverage(N_NEIGHBORS, frame_set, chunk)
    means, variances = average(evaluate, [edges], node, variances=True)
    for found, wanted in zip((means, variances), expected(tables, frame_set), strict=True):
        for x, y in zip(found, wanted, strict=True):
            torch.testing.assert_close(x, y, rtol=0, atol=1e-13)
    assert average(evaluate, [edges], node)[1] == []


def test_plain_evaluation(tables):
    edges, node = tables
    means, variances = FrameAverage(N_NEIGHBORS, None, None)(evaluate, [edges], node)
    for x, y in zip(means, evaluate(None, [edges], node), strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=1e-13)
    assert variances == []


def test_chunks_keep_gradients(tables, frame_set):
    """Recomputed parts give the gradients of edges, nodes, frames and weights of one pass."""
    gradients = []
    for chunk in (None, 2):
        leaves = [*tables, frame_set.frames, frame_set.weights]
        leaves = [x.clone().requires_grad_(True) for x in leaves]
        edges, node, frames, weights = leaves
        some = FrameSet(frame_set.centre, frames, weights, 4)
        present = (torch.arange(5)[None] < N_NEIGHBORS[:, None])[..., None]
        means, _ = FrameAverage(N_NEIGHBORS, some, chunk)(evaluate, [edges * present], node)
        gradients.append(torch.autograd.grad(sum(x.sin().sum() for x in means), leaves))
    for x, y in zip(*gradients, strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=1e-13)


class Early(FirstCentres):
    """Keeps what it is told."""

    def __init__(self, centres):
        self.centres = torch.tensor(centres)
        self.told = []

    def done(self, averages, centres):
        self.told.append((averages, centres))

    def part_done(self):
        self.told.append(None)


@pytest.mark.parametrize("chunk", [None, 3, 1])
def test_some_centres_come_first(tables, frame_set, chunk):
    """Their averages are handed over before any other centre is evaluated; nothing else changes."""
    edges, node = tables
    evaluated = []

    def watched(frames, edge_tables, node_table):
        evaluated.append(len(early.told))
        return evaluate(frames, edge_tables, node_table)

    early = Early([3, 2])
    average = FrameAverage(N_NEIGHBORS, frame_set, chunk, early)
    means, _ = average(watched, [edges], node)
    for x, y in zip(means, expected(tables, frame_set)[0], strict=True):
        torch.testing.assert_close(x, y, rtol=0, atol=1e-13)
    (averages, centres), *later = early.told
    assert sorted(centres.tolist()) == [2, 3]
    for x, y in zip(averages, means, strict=True):
        torch.testing.assert_close(x, y[centres], rtol=0, atol=0)
    # Samples were evaluated before and after, and each later part was told of.
    assert evaluated[0] == 0
    assert evaluated[-1] >= 1
    assert later == [None] * sum(told > 0 for told in evaluated)


def test_recomputing_leaves_random_numbers_alone(tables, frame_set, monkeypatch):
    """Their state lies on the GPU, and reading it is a wait of the host."""
    monkeypatch.setattr(torch, "get_rng_state", lambda: pytest.fail("it was read"))
    monkeypatch.setattr(torch, "set_rng_state", lambda _: pytest.fail("it was set"))
    edges, node = (x.clone().requires_grad_(True) for x in tables)
    means, _ = FrameAverage(N_NEIGHBORS, frame_set, 2)(evaluate, [edges], node)
    torch.autograd.grad(sum(x.sum() for x in means), [edges, node])


def test_parts_of_many_samples():
    """Kernels of attention take 65,535 rows at most, whatever the number of samples."""
    per_centre = torch.randint(1, 7, (2_000_000,), generator=torch.Generator().manual_seed(2))
    n_centres, n_samples = _part_sizes(per_centre, 65_535)
    assert max(n_samples) <= 65_535
    assert sum(n_samples) == per_centre.sum()
    assert sum(n_centres) == len(per_centre)
    firsts = torch.split(per_centre, n_centres)
    assert [int(x.sum()) for x in firsts] == n_samples


def test_no_centres():
    none = torch.zeros(0, dtype=torch.long)
    average = FrameAverage(none, None, None)
    means, _ = average(evaluate, [torch.zeros(0, 1, 3)], torch.zeros(0, 2))
    assert [x.shape for x in means] == [(0,), (0, 3)]


def test_in_parts_passes_none_on():
    x = torch.arange(5.0, requires_grad=True)

    def function(values, missing):
        assert missing is None
        return values**2

    torch.testing.assert_close(in_parts(function, 2, x, None), x**2)
