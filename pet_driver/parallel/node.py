"""A rank's index on its machine, whose cores, memory and GPUs several ranks share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mpi4py import MPI


@dataclass(frozen=True)
class NodePlace:
    """Index of one rank among those of its machine, and its share of the cores.

    rank: index on the machine; size: number of ranks on it; cores: number that this rank may use.
    """

    rank: int
    size: int
    cores: int

    @classmethod
    def find(cls, world: MPI.Comm) -> NodePlace:
        """Find the place of this rank. Collective.

        :param world: all ranks, those of other replicas included: they use the same GPUs
        """
        from mpi4py import MPI

        node = world.Split_type(MPI.COMM_TYPE_SHARED)
        mine = _usable_cores()
        # Launchers may have given each rank cores of its own.
        sharing = sum(mine == other for other in node.allgather(mine))
        place = cls(node.rank, node.size, max(len(mine) // sharing, 1))
        node.Free()
        return place


def _usable_cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
