"""Share of a training in which frames are drawn, instead of averaging over all of an atom."""

from __future__ import annotations

import math

import torch

from ..evaluation.scopes import Evaluator
from ..model import PET
from .batches import Batches
from .data import Frame

FEW_FRAMES = 3.0  # per atom: all of them cost about as much as those drawn, and teach more
_SHARE = 0.6
_COUNTED = 8  # structures whose frames are counted, at most


def share_of_drawing(network: PET, batches: Batches, frames: list[Frame]) -> float:
    """Share that suits a network in scope "layer" and some structures, where the user gives none.

    Zero where all frames cost little more than one: on a GPU, and where atoms have few.
    """
    if batches.device.type != "cpu" or network.hyper.scope != "layer":
        return 0.0
    return _SHARE if frames_per_atom(network, batches, frames) > FEW_FRAMES else 0.0


def frames_per_atom(network: PET, batches: Batches, frames: list[Frame]) -> float:
    """Mean number of frames of an atom in scope "layer", of a few structures, evenly chosen."""
    count, atoms = 0, 0
    for frame in frames[:: math.ceil(len(frames) / _COUNTED)]:
        graph, _ = batches.make([frame])
        with torch.no_grad():
            found = Evaluator(network, "layer").frames(graph)
        count, atoms = count + len(found.centre), atoms + found.n_centres
    return count / atoms
