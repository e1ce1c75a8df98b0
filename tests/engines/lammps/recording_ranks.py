"""`pet-lmp` that writes down when ranks exchange messages: python recording_ranks.py -in in.lmp

Each rank writes events.RANK.txt: a line with "begin" or "finish" for each exchange, "forward" or
"backward" for each run of samples of a message layer.
"""

import sys

from mpi4py import MPI

from pet_driver.engines.lammps.launcher import main
from pet_driver.model.frozen_layer import FrozenMessageLayer
from pet_driver.parallel.transport import Transport

events = []


def recorded(owner, method, name):
    original = getattr(owner, method)

    def replacement(*arguments, **options):
        events.append(name)
        return original(*arguments, **options)

    setattr(owner, method, replacement)


recorded(Transport, "begin_exchange", "begin")
recorded(Transport, "finish", "finish")
recorded(FrozenMessageLayer, "forward", "forward")
recorded(FrozenMessageLayer, "backward", "backward")
code = main(sys.argv[1:])
with open(f"events.{MPI.COMM_WORLD.rank}.txt", "w") as file:
    file.write("\n".join(events))
sys.exit(code)
