"""A rank's index on its machine, whose cores, memory and GPUs several ranks share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mpi4py import MPI

_VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


@dataclass(frozen=True)
class NodePlace:
    """Index of one rank among those of its machine, and its share of the cores.

    rank: index on the machine; size: number of ranks on it; cores: number that this rank may use;
    gpu_rank, gpu_size: index and number among the ranks that see the same GPUs.
    """

    rank: int
    size: int
    cores: int
    gpu_rank: int
    gpu_size: int

    @classmethod
    def find(cls, world: MPI.Comm) -> NodePlace:
        """Find the place of this rank. Collective.

        :param world: all ranks, those of other replicas included: they use the same GPUs
        """
        from mpi4py import MPI

        node = world.Split_type(MPI.COMM_TYPE_SHARED)
        cores, gpus = allowed_cores(), _visible_gpus()
        # Launchers may have given each rank cores and GPUs of its own.
        others = node.allgather((cores, gpus))
        sharing = sum(cores == other for other, _ in others)
        sees_the_same = [gpus == other for _, other in others]
        place = cls(
            node.rank,
            node.size,
            max(len(cores) // sharing, 1),
            sum(sees_the_same[: node.rank]),
            sum(sees_the_same),
        )
        node.Free()
        return place


def _visible_gpus() -> list[str | None]:
    """What restricts the GPUs that this process sees."""
    return [os.environ.get(name) for name in _VISIBLE]


def allowed_cores() -> list[int]:
    """Numbers of the cores on which the system lets this process run."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
