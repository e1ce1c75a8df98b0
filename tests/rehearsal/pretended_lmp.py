"""`pet-lmp` with pretended GPUs: python pretended_lmp.py COUNT -in in.lmp

Each rank prints what it asked of its GPU, as a line `ACCOUNT {json}`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pretended_gpu import OnGpu, PretendedGpu  # before torch

from pet_driver.engines.lammps.launcher import main


class Gpus(PretendedGpu):
    """Notes on which of the GPUs results were put.

    used: indices of these.
    """

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.used: set[int] = set()

    def run(self, func: Any, args: Any, kwargs: Any) -> Any:
        out = super().run(func, args, kwargs)
        if isinstance(out, OnGpu):
            self.used.add(out.device.index)
        return out


def report(gpus: Gpus) -> dict[str, Any]:
    from mpi4py import MPI

    return {
        "rank": MPI.COMM_WORLD.rank,
        "used": sorted(gpus.used),
        "current": gpus.current_index,
        "chosen": "set_device" in gpus.calls,
        "threads": sorted(gpus.account.threads),
        **gpus.account.totals(),
    }


if __name__ == "__main__":
    with Gpus(int(sys.argv[1])) as gpus:
        status = main(sys.argv[2:])
        print(f"ACCOUNT {json.dumps(report(gpus))}\n", end="", flush=True)
    sys.exit(status)
