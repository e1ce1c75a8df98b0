"""Share of a machine that one of its MPI ranks uses: cores, memory, GPU."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch

from ..runtime.devices import choose_device, device_of_rank, ranks_on_device, use_device

if TYPE_CHECKING:
    from ..evaluation.options import EvaluationOptions
    from ..parallel import NodePlace


def options_of_rank(options: EvaluationOptions, place: NodePlace) -> EvaluationOptions:
    """Options for one rank: its GPU, where there are several, and its part of the memory share.

    The share is divided among the ranks that use the same memory: those of the machine on a CPU,
    those of the GPU on a GPU.

    :param options: as given for all ranks of the machine together
    :param place: of the rank among those of its machine
    """
    rank, size = place.gpu_rank, place.gpu_size
    if options.device == "cpu":
        rank, size = place.rank, place.size
    return options.replace(
        device=device_of_rank(options.device, rank),
        memory_share=options.memory_share / ranks_on_device(options.device, rank, size),
    )


def use_share(options: EvaluationOptions, place: NodePlace) -> None:
    """Give torch the cores of this rank, unless OMP_NUM_THREADS is set, and its GPU.

    The GPU becomes the current one before anything of MPI, CuPy or Triton asks for it.

    :param options: of this rank, see `options_of_rank`
    :raises PetDriverError: if there is no such GPU
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(place.cores)
    use_device(choose_device(options.device))
