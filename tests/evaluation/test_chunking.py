"""Chunks after a shortage of memory."""

import numpy as np
import pytest
import torch
from ase.build import bulk

from pet_driver import PetDriverError, load_model
from pet_driver.evaluation.chunking import Chunking
from pet_driver.model.layer_pass import LayerPass

CPU = torch.device("cpu")


class Memory:
    """An evaluation that fits only below some number of samples."""

    def __init__(self, chunking, most):
        self.chunking, self.most = chunking, most

    def evaluate(self):
        if (self.chunking.chunk or 1000) > self.most:
            raise torch.OutOfMemoryError
        return "done"


def run(chunking, memory):
    return chunking.retried(memory.evaluate, lambda: 1000)


@pytest.mark.filterwarnings("ignore:out of memory")
def test_a_chunk_halved_by_one_shortage_grows_back():
    chunking = Chunking(CPU, 0.4, None)
    memory = Memory(chunking, 300)
    assert run(chunking, memory) == "done"
    assert chunking.chunk == 250
    memory.most = 10**6
    chunks = [chunking.chunk for _ in range(100) if run(chunking, memory)]
    assert chunks[:3] == [250, 250, 250]
    assert chunks[-1] is None
    assert 500 in chunks


@pytest.mark.filterwarnings("ignore:out of memory")
def test_where_memory_stays_short_larger_chunks_are_tried_ever_more_rarely():
    chunking = Chunking(CPU, 0.4, 400)
    memory = Memory(chunking, 300)
    sizes = []
    for _ in range(1000):
        run(chunking, memory)
        sizes.append(chunking.chunk)
    failures = sum(size == 400 for size in sizes)
    assert 2 <= failures <= 8
    assert sizes.count(200) > 950


@pytest.mark.filterwarnings("ignore:out of memory")
def test_the_smallest_chunk_that_does_not_fit_is_an_error():
    chunking = Chunking(CPU, 0.4, None)
    with pytest.raises(PetDriverError, match="samples at a time"):
        run(chunking, Memory(chunking, 3))


@pytest.mark.filterwarnings("ignore:out of memory")
def test_a_shortage_of_a_cpu_is_one_too():
    """As torch reports it, where the system lets it know."""

    def attempt():
        if (chunking.chunk or 1000) > 300:
            torch.empty(2**60, dtype=torch.uint8)
        return "done"

    chunking = Chunking(CPU, 0.4, None)
    assert chunking.retried(attempt, lambda: 1000) == "done"
    assert chunking.chunk == 250


def test_other_errors_of_torch_are_left_alone():
    def attempt():
        return torch.zeros(2) @ torch.zeros(3)

    with pytest.raises(RuntimeError, match="size"):
        Chunking(CPU, 0.4, None).retried(attempt, lambda: 1000)


@pytest.mark.parametrize("scope", ["layer", "none"])
@pytest.mark.filterwarnings("ignore:dipeptides was trained")
def test_atoms_too_crowded_for_the_memory_are_refused(scope):
    """A crystal with lengths in the wrong unit, say."""
    potential = load_model("dipeptides", scope=scope)
    with pytest.raises(PetDriverError, match=r"an atom has \d+ neighbors .* check the density"):
        potential.compute(bulk("H", "sc", a=0.2))
    crowded = bulk("H", "sc", a=0.65)
    shares = (0.4, 1e-4)  # many samples at a time, or one
    several, one = (
        load_model("dipeptides", scope=scope, dtype="float64", memory_share=share).compute(crowded)
        for share in shares
    )
    assert one.energy == pytest.approx(several.energy, rel=1e-12)


@pytest.mark.filterwarnings("ignore:out of memory")
def test_parts_are_halved_from_what_was_evaluated_at_a_time(water_box, monkeypatch):
    """Which the memory had limited to fewer samples than there are atoms."""
    potential = load_model("water")
    evaluator, parts = potential._evaluator, []
    monkeypatch.setattr(potential.chunking, "allowed", lambda: 80 * evaluator.memory.per_sample(40))
    evaluate = evaluator.evaluate

    def short_once(*arguments):
        found = evaluate(*arguments)
        parts.append(evaluator.at_once)
        if len(parts) == 1:
            raise torch.OutOfMemoryError
        return found

    monkeypatch.setattr(evaluator, "evaluate", short_once)
    potential.compute(water_box)
    assert parts[0] < len(water_box)
    assert parts[1] == parts[0] // 2


@pytest.mark.filterwarnings("ignore:out of memory")
def test_other_results_are_in_parts_after_a_shortage(water_box, monkeypatch):
    """Symmetrization forces and deviations over frames are the same in parts."""
    potential = load_model("water", dtype="float64")
    atoms = water_box[:60]
    expected = potential.symmetrization_forces(atoms)[0], potential.frame_deviation(atoms)
    evaluator, chunks = potential._evaluator, []

    def short_once(function):
        def shortened(graph, request):
            chunks.append(request.chunk)
            if len(chunks) % 2:
                raise torch.OutOfMemoryError
            return function(graph, request)

        return shortened

    for name in ("evaluate", "energy_variance"):
        monkeypatch.setattr(evaluator, name, short_once(getattr(evaluator, name)))
    found = potential.symmetrization_forces(atoms)[0], potential.frame_deviation(atoms)
    assert chunks[0] is None
    assert chunks[3] < chunks[1]
    for some, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(some, wanted, atol=1e-10)


def test_the_last_layer_is_not_evaluated_again_and_again(water_box, monkeypatch):
    """Parts are computed again in the backward pass: each layer is evaluated twice."""
    potential = load_model("water", chunk=48)
    calls = []
    results = LayerPass._results

    def counted(self, *arguments):
        calls.append(self.sends)
        return results(self, *arguments)

    monkeypatch.setattr(LayerPass, "_results", counted)
    potential.compute(water_box[:96])
    assert calls.count(True) == calls.count(False) > 4


@pytest.mark.filterwarnings("ignore:out of memory")
def test_the_first_shortage_is_answered_however_little_memory_there_is(water_box, monkeypatch):
    """What was held may be released for the second attempt."""
    potential = load_model("water")
    evaluator, attempts = potential._evaluator, []
    monkeypatch.setattr(potential.chunking, "allowed", lambda: 1)
    evaluate = evaluator.evaluate

    def short_once(*arguments):
        attempts.append(arguments)
        if len(attempts) == 1:
            raise torch.OutOfMemoryError
        return evaluate(*arguments)

    monkeypatch.setattr(evaluator, "evaluate", short_once)
    potential.compute(water_box[:24])
    assert len(attempts) == 2
