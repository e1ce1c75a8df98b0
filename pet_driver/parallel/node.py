"""What the ranks on one machine share: its cores, its memory, its GPUs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mpi4py import MPI


@dataclass(frozen=True)
class NodePlace:
    """rank, size: among all ranks of the machine; cores: this rank's share of those that it may
    use.
    """

    rank: int
    size: int
    cores: int

    @classmethod
    def find(cls, world: MPI.Comm) -> NodePlace:
        """Collective.

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
