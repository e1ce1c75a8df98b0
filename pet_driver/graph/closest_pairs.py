"""The closest pairs of atoms in structures."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from ase.data import chemical_symbols

from .neighbor_list import find_edges
from .system import System

_WITHIN = 3.5  # angstrom; pairs of elements that never come closer are left out


def closest_pairs(systems: Iterable[System]) -> dict[str, float]:
    """Shortest distance of each pair of elements, angstrom, such as ``{"H-O": 0.87}``.

    The lighter element comes first. Pairs that are nowhere closer than 3.5 angstrom are left out.
    """
    found: dict[tuple[int, int], float] = {}
    for system in systems:
        edges = find_edges(system, _WITHIN)
        numbers = np.asarray(system.numbers)
        ends = np.stack([numbers[edges.centre], numbers[edges.neighbor]], axis=1)
        lengths = np.linalg.norm(edges.vectors, axis=1)
        for one, two in {tuple(pair) for pair in np.unique(ends, axis=0) if pair[0] <= pair[1]}:
            closest = float(lengths[(ends == (one, two)).all(axis=1)].min())
            found[one, two] = min(closest, found.get((one, two), np.inf))
    return {
        f"{chemical_symbols[one]}-{chemical_symbols[two]}": length
        for (one, two), length in sorted(found.items())
    }
