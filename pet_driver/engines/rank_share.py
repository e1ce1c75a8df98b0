"""Share of a machine that one of its MPI ranks uses: cores, memory, GPU."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch

from ..runtime.devices import device_of_rank

if TYPE_CHECKING:
    from ..evaluation.options import EvaluationOptions
    from ..parallel import NodePlace


def options_of_rank(options: EvaluationOptions, place: NodePlace) -> EvaluationOptions:
    """Options for one rank: its GPU, where there are several, and its part of the memory share.

    :param options: as given for all ranks of the machine together
    :param place: of the rank among those of its machine
    """
    return options.replace(
        device=device_of_rank(options.device, place.rank),
        memory_share=options.memory_share / place.size,
    )


def use_cores(place: NodePlace) -> None:
    """Give torch the cores of this rank, unless OMP_NUM_THREADS is set."""
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(place.cores)
