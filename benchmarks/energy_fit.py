"""Linear fit to the total energy of a simulation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_BLOCKS = 20


class EnergyFit(NamedTuple):
    """A line through the total energy per atom.

    slope, slope_error: meV/atom/ps; farthest: the largest distance of the energy from the line,
    meV/atom.
    """

    slope: float
    slope_error: float
    farthest: float


def fitted(energies: Sequence[float], n_atoms: int, time_step: float) -> EnergyFit:
    """Fit a line by least squares.

    The error of the slope is the standard error of a line through the means of 20 blocks: energies
    of neighboring steps are not independent of each other, means of blocks nearly are.

    :param energies: of the start and of each step, eV; at least 60
    :param time_step: fs
    """
    per_atom = 1e3 * (np.array(energies) - energies[0]) / n_atoms
    picoseconds = 1e-3 * time_step * np.arange(len(per_atom))
    slope, offset = np.polyfit(picoseconds, per_atom, 1)
    blocks = [
        np.array([part.mean() for part in np.array_split(values, _BLOCKS)])
        for values in (picoseconds, per_atom)
    ]
    covariance = np.polyfit(*blocks, 1, cov=True)[1]
    farthest = np.abs(per_atom - slope * picoseconds - offset).max()
    return EnergyFit(float(slope), float(np.sqrt(covariance[0, 0])), float(farthest))
