"""Linear fit to the total energy of a simulation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def fitted(energies: Sequence[float], n_atoms: int, time_step: float) -> tuple[float, float]:
    """Slope of the line, meV/atom/ps, and largest distance of the energy from it, meV/atom.

    :param energies: of the start and of each step, eV
    :param time_step: fs
    """
    per_atom = 1e3 * (np.array(energies) - energies[0]) / n_atoms
    picoseconds = 1e-3 * time_step * np.arange(len(per_atom))
    slope, offset = np.polyfit(picoseconds, per_atom, 1)
    return float(slope), float(np.abs(per_atom - slope * picoseconds - offset).max())
