"""`pet-lmp` in which one rank fails on purpose: python failing_rank.py HOW RANK CALL -in in.lmp

Everything else is real. HOW: what happens in that call of a message layer on that rank.
"""

import os
import signal
import sys

import torch
from mpi4py import MPI

from pet_driver.engines.lammps.launcher import main
from pet_driver.model.frozen_layer import FrozenMessageLayer
from pet_driver.model.message_layer import MessageLayer
from pet_driver.parallel import ExchangeDomain

how, rank, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
calls = 0


def fail():
    if how == "memory":
        torch.empty(2**60, dtype=torch.uint8)  # what a CPU's allocator says is no OutOfMemoryError
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    raise ValueError("injected")


def fail_backward(_gradient):
    raise ValueError("injected backward")


def failing(original):
    def forward(layer, tokens, invariant, node):
        return changed(*original(layer, tokens, invariant, node))

    return forward


def changed(node, edges):
    global calls
    calls += 1
    if calls == last and how == "backward":
        edges.register_hook(fail_backward)
    elif calls == last and how == "nan":
        edges = edges * torch.nan
    elif calls == last:
        fail()
    return node, edges


def is_stale(domain, *atoms, _original=ExchangeDomain._is_stale):
    global calls
    calls += 1
    if calls == last:
        fail()
    return _original(domain, *atoms)


if MPI.COMM_WORLD.rank == rank:
    if how == "listing":
        ExchangeDomain._is_stale = is_stale
    else:
        MessageLayer.forward = failing(MessageLayer.forward)
        FrozenMessageLayer.__call__ = failing(FrozenMessageLayer.__call__)
sys.exit(main(sys.argv[4:]))
