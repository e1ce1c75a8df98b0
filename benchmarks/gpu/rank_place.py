"""Print which device and what share of it this MPI rank gets: rank_place.py DEVICE."""

from __future__ import annotations

import json
import sys

from mpi4py import MPI

from pet_driver.engines.rank_share import options_of_rank
from pet_driver.evaluation.options import EvaluationOptions
from pet_driver.parallel import NodePlace
from pet_driver.runtime.devices import choose_device


def main() -> None:
    """One line for all ranks, from the first."""
    place = NodePlace.find(MPI.COMM_WORLD)
    options = options_of_rank(EvaluationOptions(device=sys.argv[1]), place)
    content = {
        "rank": MPI.COMM_WORLD.rank,
        "device": str(choose_device(options.device)),
        "memory share": options.memory_share,
        "cores": place.cores,
        "ranks that see it": place.gpu_size,
    }
    places = MPI.COMM_WORLD.gather(content)
    if places is not None:
        print(f"PLACES {json.dumps(places)}", flush=True)


if __name__ == "__main__":
    main()
