"""Ranks and processes that share GPUs."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from pretended_gpu import PretendedGpu

from pet_driver import PetDriverError
from pet_driver.engines.rank_share import options_of_rank, use_share
from pet_driver.evaluation.options import EvaluationOptions
from pet_driver.parallel import NodePlace
from pet_driver.parallel.transport import Transport
from pet_driver.runtime.stopwatch import Stopwatch
from pet_driver.training import Workers


@pytest.mark.parametrize(
    ("count", "device", "shares"),
    [
        (1, "cuda", [0.1, 0.1, 0.1, 0.1]),
        (2, "cuda", [0.2, 0.2, 0.2, 0.2]),
        (3, "cuda", [0.2, 0.4, 0.4, 0.2]),
        (4, "cuda:1", [0.1, 0.1, 0.1, 0.1]),
        (4, "cpu", [0.1, 0.1, 0.1, 0.1]),
    ],
)
def test_memory_is_shared_by_the_ranks_of_a_gpu(count, device, shares):
    options = EvaluationOptions(device=device, memory_share=0.4)
    with PretendedGpu(count):
        places = [NodePlace(rank, 4, 1, rank, 4) for rank in range(4)]
        found = [options_of_rank(options, place) for place in places]
    assert [x.memory_share for x in found] == pytest.approx(shares)
    if device == "cuda":
        assert [x.device for x in found] == [f"cuda:{rank % count}" for rank in range(4)]


def test_launchers_may_give_each_rank_a_gpu_of_its_own():
    """All of them are called cuda:0 then, and none is shared."""
    with PretendedGpu(count=1):
        place = NodePlace(rank=3, size=4, cores=1, gpu_rank=0, gpu_size=1)
        found = options_of_rank(EvaluationOptions(device="cuda", memory_share=0.4), place)
    assert (found.device, found.memory_share) == ("cuda:0", 0.4)


def test_place_among_the_ranks_that_see_the_same_gpus(monkeypatch):
    mpi = pytest.importorskip("mpi4py.MPI", exc_type=ImportError)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    place = NodePlace.find(mpi.COMM_WORLD)
    assert (place.gpu_rank, place.gpu_size) == (0, 1)


def test_the_gpu_of_a_rank_becomes_the_current_one():
    with PretendedGpu(count=2) as gpu:
        use_share(EvaluationOptions(device="cuda:1"), NodePlace(1, 2, 1, 1, 2))
        assert gpu.current_index == 1
        assert torch.zeros(1, device="cuda").device.index == 1


@pytest.mark.parametrize(("count", "device"), [(1, "cuda"), (2, "cuda:0")])
def test_processes_of_a_training_need_a_gpu_each(monkeypatch, count, device):
    for name, value in {"WORLD_SIZE": 2, "RANK": 0, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 2}.items():
        monkeypatch.setenv(name, str(value))
    with PretendedGpu(count), pytest.raises(PetDriverError, match="2 of 2 processes would share"):
        Workers(device)


@pytest.fixture
def second_process(monkeypatch):
    """Environment of the second of two processes, of which the launcher says nothing more."""
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    for name, value in {"WORLD_SIZE": 2, "RANK": 1, "LOCAL_RANK": 1}.items():
        monkeypatch.setenv(name, str(value))


@pytest.mark.usefixtures("second_process")
def test_launchers_may_give_each_process_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    with PretendedGpu(count=1) as gpu:
        assert Workers("cuda").device_name == "cuda:0"
        assert "set_device" in gpu.calls


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.usefixtures("second_process")
def test_without_a_gpu_processes_are_told_so():
    with pytest.raises(PetDriverError, match="no GPU is visible"):
        Workers("cuda")


def test_waiting_for_the_model_is_not_time_of_the_exchange(monkeypatch):
    """MPI has to wait until the GPU has computed what it sends."""
    mpi = pytest.importorskip("mpi4py.MPI", exc_type=ImportError)
    watch = Stopwatch()

    class Busy:
        def synchronize(self) -> None:
            time.sleep(0.2)

    with PretendedGpu():
        transport = Transport(mpi.COMM_SELF, watch)
        rows = torch.ones(2, 3, device="cuda")
        monkeypatch.setattr(torch.cuda, "current_stream", lambda *_: Busy())
        none = np.zeros(1, dtype=np.int64)
        with watch.measure("model"):
            transport.exchange(rows[:0], none, none)
    assert watch.seconds["model"] >= 0.2
