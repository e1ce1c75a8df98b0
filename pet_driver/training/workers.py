"""Processes that train together: each computes a part of every batch, and gradients are summed.

They are started by ``torchrun``, or by ``pet-driver train --processes N`` on one machine. A single
process uses the same class and communicates with no other.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, distributed, nn

from ..errors import PetDriverError
from ..parallel.node import allowed_cores
from ..runtime.devices import choose_device, device_of_rank, ranks_on_device, use_device

_Item = TypeVar("_Item")
_LOST = "another process of this training has ended; its message says why, start again to resume"


class Workers:
    """The processes that share a training, and the rank of this one.

    Size and rank come from the environment, as ``torchrun`` and `start_workers` set it.

    :param device: "cpu", "cuda" or "cuda:N"; "cuda" gives each process of a machine its own GPU
    :param alone: whether this process trains by itself, whatever the environment says
    :raises PetDriverError: if the environment is incomplete
    """

    def __init__(self, device: str = "cpu", alone: bool = False) -> None:
        self.size = 1 if alone else int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = 0 if alone else int(os.environ.get("RANK", "0"))
        self.device_name = device
        if self.size > 1:
            self.device_name = device_of_rank(device, int(os.environ.get("LOCAL_RANK", "0")))
            backend = "nccl" if self.device_name.startswith("cuda") else "gloo"
            if backend == "nccl":
                chosen = choose_device(self.device_name)
                # Not set by launchers that may give each process a GPU of its own.
                _check_gpus(device, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
                use_device(chosen)
            elif "OMP_NUM_THREADS" in os.environ:
                # MKL's own variable may allow more threads; steps are many times slower where
                # processes compete for cores.
                torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
            if not distributed.is_initialized():
                _check_environment(self.size)
                distributed.init_process_group(backend)

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and messages."""
        return self.rank == 0

    def share(self, weights: Sequence[int]) -> slice:
        """Slice of a list that this process takes, so that weights are about equal; may be empty.

        :param weights: of the items, such as numbers of atoms
        """
        ends = np.cumsum(weights)
        middle = ends - 0.5 * np.asarray(weights)
        owner = np.minimum((middle * self.size / ends[-1]).astype(int), self.size - 1)
        mine = np.flatnonzero(owner == self.rank)
        return slice(int(mine[0]), int(mine[-1]) + 1) if mine.size else slice(0, 0)

    def add_gradients(self, parameters: Iterable[nn.Parameter], numbers: Tensor) -> Tensor:
        """Sum the gradients over all processes, in place.

        :param numbers: (n,), float64, summed too and returned
        :raises PetDriverError: if another process has ended
        """
        if self.size == 1:
            return numbers
        changed = list(parameters)
        present = numbers.new_tensor([p.grad is not None for p in changed])
        gradients = [_gradient(p) for p in changed]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        for summed in (flat, numbers, present):
            self.add(summed)
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()
        # What has a gradient nowhere is left alone by the optimizer, as with one process.
        for parameter, count in zip(changed, present.tolist(), strict=True):
            if not count:
                parameter.grad = None
        return numbers

    def add(self, values: Tensor) -> Tensor:
        """Sum a tensor over all processes, in place.

        :return: the same tensor
        :raises PetDriverError: if another process has ended
        """
        if self.size > 1:
            try:
                distributed.all_reduce(values)
            except RuntimeError as error:
                raise PetDriverError(_LOST) from error
        return values

    def gather(self, items: list[_Item]) -> list[_Item]:
        """Concatenate the lists of all processes, in order of rank, on each of them.

        :raises PetDriverError: if another process has ended
        """
        if self.size == 1:
            return items
        lists: list[list[_Item]] = [[] for _ in range(self.size)]
        try:
            distributed.all_gather_object(lists, items)
        except RuntimeError as error:
            raise PetDriverError(_LOST) from error
        return [item for listed in lists for item in listed]

    def close(self) -> None:
        """Leave the group; nothing else may be called afterwards."""
        if self.size > 1 and distributed.is_initialized():
            distributed.destroy_process_group()


def _check_environment(size: int) -> None:
    """Check that the environment says how the processes find one another.

    :raises PetDriverError: if not
    """
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        if name not in os.environ:
            raise PetDriverError(
                f"WORLD_SIZE is {size}, but {name} is not set; start processes by torchrun or "
                "--processes, or unset WORLD_SIZE"
            )


def _check_gpus(device: str, local_size: int) -> None:
    """Check that each process of this machine has a GPU of its own, as NCCL demands.

    :raises PetDriverError: if two would share one
    """
    sharing = ranks_on_device(device, 0, local_size)
    if sharing > 1:
        raise PetDriverError(
            f"{sharing} of {local_size} processes would share a GPU, which NCCL does not allow; "
            "use --processes 1, or as many GPUs as processes with --device cuda"
        )


def _gradient(parameter: nn.Parameter) -> Tensor:
    """Gradient of a parameter, made zero if there is none."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def start_workers(count: int, command: Sequence[str]) -> list[subprocess.Popen[bytes]]:
    """Make this process the first of `count` and start the others, as ``torchrun`` would.

    The processes share the cores that this one may use, unless OMP_NUM_THREADS gives the threads of
    each, and meet at a free port. The environment of this
    process is changed, which `Workers` reads.

    :param command: arguments of ``pet-driver`` for the other processes
    :return: the other processes
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    allowed = max(len(allowed_cores()) // count, 1)
    threads = os.environ.get("OMP_NUM_THREADS", str(allowed))
    common = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "pet_driver.cli.main", *command],
            env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.DEVNULL,
        )
        for rank in range(1, count)
    ]
    os.environ.update({**common, "RANK": "0", "LOCAL_RANK": "0"})
    return started
