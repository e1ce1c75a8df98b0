"""Time of an evaluation of structures that move as in dynamics."""

from __future__ import annotations

import time

import numpy as np
import torch
from ase import Atoms

from ..evaluation.potential import Potential

_UNTIMED = 3  # lists, fixed sizes and recorded kernels are made first
_FEWEST = 3
_SHAKE = 0.002  # angstrom from step to step: neighbor lists stay valid


def step_times(potential: Potential, atoms: Atoms, seconds: float, most: int) -> list[float]:
    """Times of energy, forces and virial of one structure, s, each of slightly other positions.

    :param seconds: after which no further evaluation is begun
    :param most: largest number of evaluations
    """
    rng = np.random.default_rng(0)
    times: list[float] = []
    for _ in range(_UNTIMED):
        potential.compute(atoms)
    end = time.perf_counter() + seconds
    while len(times) < _FEWEST or (time.perf_counter() < end and len(times) < most):
        moved = atoms.copy()
        moved.positions += rng.normal(scale=_SHAKE, size=moved.positions.shape)
        start = time.perf_counter()
        potential.compute(moved)
        times.append(time.perf_counter() - start)
    return times


def peak_memory(potential: Potential) -> float:
    """Largest memory so far, GB: of the device where it is a GPU, else of this process."""
    if potential.device.type == "cuda":
        return torch.cuda.max_memory_allocated(potential.device) / 1e9
    import resource
    import sys

    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
