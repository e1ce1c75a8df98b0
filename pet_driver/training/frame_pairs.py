"""Pairs of frames of the same atoms, and the displacements and strains between them."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..graph import periodic_cell
from .data import Frame

Pair = tuple[Frame, Frame]

_MOST_PAIRS = 200
_MOST_TRIED = 5000
_ALL_PAIRS_UP_TO = 40
_RANDOM_FRAMES, _PARTNERS = 300, 10  # of a larger group


def nearest_pairs(frames: list[Frame], wanted: Callable[[Frame, Frame], bool]) -> list[Pair]:
    """At most 200 pairs of frames of the same atoms in the same order, the nearest first.

    Candidates are successive frames and all pairs of small groups, random pairs of large ones.

    :param wanted: whether a pair may be used
    """
    groups: dict[bytes, list[Frame]] = {}
    for frame in frames:
        groups.setdefault(frame.system.numbers.tobytes(), []).append(frame)
    pairs = [pair for pair in _candidates(list(groups.values())) if wanted(*pair)]
    measured = [(a, b, _distance(a, b)) for a, b in pairs[:_MOST_TRIED]]
    nearest = sorted((x for x in measured if x[2] > 1e-6), key=lambda x: x[2])
    return [(a, b) for a, b, _ in nearest[:_MOST_PAIRS]]


def _candidates(groups: list[list[Frame]]) -> list[Pair]:
    random = np.random.default_rng(0)
    pairs: list[Pair] = []
    for group in groups:
        pairs += itertools.pairwise(group)
        if len(group) <= _ALL_PAIRS_UP_TO:
            pairs += itertools.combinations(group, 2)
            continue
        others = random.integers(len(group), size=(min(len(group), _RANDOM_FRAMES), _PARTNERS))
        pairs += [
            (group[k], group[m]) for k, partners in enumerate(others) for m in partners if k != m
        ]
    return pairs


def displacements(a: Frame, b: Frame) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Displacements from the first frame to the second, without overall rotation or strain.

    Free structures are superimposed (Kabsch's algorithm); in periodic ones an atom moves to its
    nearest image.

    :return: (n_atoms, 3), angstrom, and the rotation (3, 3) that turns the second frame onto the
        first, the identity unless both are free
    """
    if not (a.system.pbc | b.system.pbc).any():
        x, y = (f.system.positions - f.system.positions.mean(0) for f in (a, b))
        left, _, right = np.linalg.svd(y.T @ x)
        turn = right.T @ np.diag([1.0, 1.0, np.linalg.det(right.T @ left.T)]) @ left.T
        return y @ turn.T - x, turn
    if not np.array_equal(a.system.pbc, b.system.pbc):
        return b.system.positions - a.system.positions, np.eye(3)
    # Directions without periodicity get vectors of their own, along which no atom is moved back.
    cells = [periodic_cell(f.system) for f in (a, b)]
    fractional = [
        np.linalg.solve(cell.T, f.system.positions.T).T
        for cell, f in zip(cells, (a, b), strict=True)
    ]
    moved = fractional[1] - fractional[0]
    moved -= np.where(a.system.pbc, np.rint(moved), 0.0)
    return moved @ (0.5 * (cells[0] + cells[1])), np.eye(3)


def _distance(a: Frame, b: Frame) -> float:
    """Root-mean-square displacement, angstrom."""
    return float(np.sqrt((displacements(a, b)[0] ** 2).sum(1).mean()))


def displacement_gradient(a: Frame, b: Frame) -> npt.NDArray[np.float64]:
    """Change of the cell from the first frame to the second, (3, 3): ``cell_a^-1 cell_b - 1``."""
    return np.asarray(np.linalg.solve(a.system.cell, b.system.cell) - np.eye(3))


def largest_strain(a: Frame, b: Frame) -> float:
    """Largest component of the displacement gradient between two cells.

    :return: 0 for free structures, infinite if cells differ and the first has no volume
    """
    if not (a.system.pbc | b.system.pbc).any():
        return 0.0
    if not a.volume:
        return 0.0 if np.array_equal(a.system.cell, b.system.cell) else np.inf
    return float(np.abs(displacement_gradient(a, b)).max())
