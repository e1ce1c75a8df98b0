"""Labels that contradict each other: forces or stresses of the wrong sign or unit.

Two frames of the same atoms, x apart and with a strain e between their cells, differ in energy by
about ``-(F_1 + F_2)/2 . u + (V_1 s_1 + V_2 s_2)/2 : e`` with u what of x is not strain: the
trapezoidal rule for the work.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from .data import Frame
from .units import ENERGIES, EV_PER_CUBIC_ANGSTROM, LENGTHS

_LEAST_PAIRS = 5
_MOST_PAIRS = 200
_MOST_TRIED = 5000
_ALL_PAIRS_UP_TO = 40
_SIGNIFICANT = 3.5  # correlation times the root of the number of pairs, for something to be said
_CLEAR = 0.5  # correlation of volume and stress, likewise
_FACTOR = 3.0  # from which on a slope is another unit; where the rule holds well, less is needed
_SHARP_FACTOR, _SHARP = 1.7, 0.98
_SOFTEST, _STIFFEST = 0.05, 2000.0  # GPa, of a bulk modulus


def inconsistencies(frames: list[Frame]) -> list[str]:
    """What should be said aloud of the labels; nothing where they agree or do not allow a test."""
    known = [f for f in frames if f.labels.energy is not None]
    found = [_forces(known), _stress_by_energy(known), _stress_by_volume(known)]
    # The third test asks for less than the second, and knows less.
    if found[1] is not None:
        found.pop()
    return [sentence for sentence in found if sentence]


def _forces(frames: list[Frame]) -> str | None:
    frames = [f for f in frames if f.labels.forces is not None]
    changes, works = [], []
    for a, b in _pairs(frames, lambda a, b: _largest_strain(a, b) < 1e-6):
        changes.append(b.labels.energy - a.labels.energy)
        works.append(-_work(a, b))
    said = _verdict(np.array(changes), np.array(works), _SHARP_FACTOR)
    if said is None:
        return None
    units = {
        f"{e}/{x}": a / b for e, a in ENERGIES.items() for x, b in LENGTHS.items() if a / b != 1.0
    }
    return _sentence("forces", "data.forces_unit", *said, units)


def _stress_by_energy(frames: list[Frame]) -> str | None:
    """Like the forces, between frames of different cells."""
    frames = [f for f in frames if f.labels.stress is not None and f.labels.forces is not None]
    changes, works = [], []
    for a, b in _pairs(frames, lambda a, b: 1e-3 < _largest_strain(a, b) < 0.1):
        gradient = np.linalg.solve(a.system.cell, b.system.cell) - np.eye(3)
        strain = 0.5 * (gradient + gradient.T)
        rest = b.labels.energy - a.labels.energy + _work(a, b)
        stress = 0.5 * (a.volume * a.labels.stress + b.volume * b.labels.stress)
        changes.append(rest)
        works.append(float((stress * strain).sum()))
    said = _verdict(np.array(changes), np.array(works))
    if said is None:
        return None
    return _sentence("stress", "data.stress_unit or data.stress_kind", *said, {})


def _stress_by_volume(frames: list[Frame]) -> str | None:
    """Pressure must fall as the volume grows, and by a possible bulk modulus."""
    groups: dict[tuple, list[Frame]] = {}
    for frame in frames:
        if frame.labels.stress is not None:
            numbers, counts = np.unique(frame.system.numbers, return_counts=True)
            shares = counts / counts.min()
            groups.setdefault((*numbers, *np.round(shares, 3)), []).append(frame)
    volumes, tensions = [], []
    for group in groups.values():
        if len(group) >= _LEAST_PAIRS:
            v = np.log([f.volume / len(f.system) for f in group])
            s = np.array([np.trace(f.labels.stress) / 3.0 for f in group])
            volumes.append(v - v.mean())
            tensions.append(s - s.mean())
    if not volumes:
        return None
    volume, tension = np.concatenate(volumes), np.concatenate(tensions)
    if volume.std() < 5e-3 or not tension.std():
        return None
    correlation = float(np.corrcoef(volume, tension)[0, 1])
    modulus = EV_PER_CUBIC_ANGSTROM * float((volume * tension).sum() / (volume**2).sum())
    if correlation < -_CLEAR:
        return (
            "the stress is suspect: it falls where the volume grows (correlation "
            f"{correlation:.2f}), as a pressure does; try data.stress_sign: -1"
        )
    if correlation > _CLEAR and not _SOFTEST < modulus < _STIFFEST:
        return (
            f"the stress is suspect: it would mean a bulk modulus of {modulus:.3g} GPa; look at "
            "data.stress_unit and data.stress_kind"
        )
    return None


def _largest_strain(a: Frame, b: Frame) -> float:
    """Between the cells; 0 for free structures, infinite where a cell has no volume."""
    if not (a.system.pbc | b.system.pbc).any():
        return 0.0
    if not a.volume:
        return 0.0 if np.array_equal(a.system.cell, b.system.cell) else np.inf
    return float(np.abs(np.linalg.solve(a.system.cell, b.system.cell) - np.eye(3)).max())


def _pairs(
    frames: list[Frame], wanted: Callable[[Frame, Frame], bool]
) -> list[tuple[Frame, Frame]]:
    """The nearest pairs of frames of the same atoms in the same order: neighbors in the file, and
    some at random.
    """
    groups: dict[bytes, list[Frame]] = {}
    for frame in frames:
        groups.setdefault(frame.system.numbers.tobytes(), []).append(frame)
    random = np.random.default_rng(0)
    pairs = []
    for group in groups.values():
        pairs += itertools.pairwise(group)
        if len(group) <= _ALL_PAIRS_UP_TO:
            pairs += itertools.combinations(group, 2)
            continue
        others = random.integers(len(group), size=(min(len(group), 300), 10))
        pairs += [(group[k], group[m]) for k, row in enumerate(others) for m in row if k != m]
    pairs = [pair for pair in pairs if wanted(*pair)]
    near = [(a, b, _distance(a, b)) for a, b in pairs[:_MOST_TRIED]]
    near = sorted((x for x in near if x[2] > 1e-6), key=lambda x: x[2])
    return [(a, b) for a, b, _ in near[:_MOST_PAIRS]]


def _distance(a: Frame, b: Frame) -> float:
    """Root-mean-square displacement, angstrom."""
    return float(np.sqrt((_displacements(a, b)[0] ** 2).sum(1).mean()))


def _displacements(a: Frame, b: Frame) -> tuple[np.ndarray, np.ndarray]:
    """From the first frame to the second, (n_atoms, 3), and the rotation (3, 3) that puts the
    second onto the first where they are free.

    Where they are periodic: to the nearest image, without the strain of the cell.
    """
    if not (a.system.pbc | b.system.pbc).any():
        x, y = (f.system.positions - f.system.positions.mean(0) for f in (a, b))
        left, _, right = np.linalg.svd(y.T @ x)
        turn = right.T @ np.diag([1.0, 1.0, np.linalg.det(right.T @ left.T)]) @ left.T
        return y @ turn.T - x, turn
    if not (a.system.pbc & b.system.pbc).all():
        return b.system.positions - a.system.positions, np.eye(3)
    inside = [np.linalg.solve(f.system.cell.T, f.system.positions.T).T for f in (a, b)]
    moved = inside[1] - inside[0]
    moved -= np.rint(moved)
    return moved @ (0.5 * (a.system.cell + b.system.cell)), np.eye(3)


def _work(a: Frame, b: Frame) -> float:
    """Of the forces on the way from one frame to the other, eV."""
    moved, turn = _displacements(a, b)
    return 0.5 * float(((a.labels.forces + b.labels.forces @ turn.T) * moved).sum())


def _verdict(
    changes: np.ndarray, works: np.ndarray, sharp_factor: float = _FACTOR
) -> tuple[float, float] | None:
    """Correlation and slope of energies over works, where something is wrong with them."""
    if len(changes) < _LEAST_PAIRS or not changes.std() or not works.std():
        return None
    # Far pairs of frames dominate sums and obey the rule least: ranks and medians mind them less.
    keep = np.abs(works) > 1e-3 * np.abs(works).max()
    changes, works = changes[keep], works[keep]
    if len(changes) < _LEAST_PAIRS:
        return None
    correlation = float(np.corrcoef(_ranks(changes), _ranks(works))[0, 1])
    slope = float(np.median(np.abs(changes)) / np.median(np.abs(works)))
    factor = sharp_factor if abs(correlation) > _SHARP else _FACTOR
    unclear = abs(correlation) * np.sqrt(len(changes)) < _SIGNIFICANT
    if unclear or (correlation > 0.0 and 1.0 / factor < slope < factor):
        return None
    return correlation, slope


def _ranks(values: np.ndarray) -> np.ndarray:
    return np.argsort(np.argsort(values)).astype(float)


def _sentence(
    label: str, option: str, correlation: float, slope: float, known: dict[str, float]
) -> str:
    if correlation < 0.0:
        remedy = "data.stress_sign: -1" if label == "stress" else "correct them in the file"
        return (
            f"the {label} is suspect: its work has the opposite sign of the change of the energy "
            f"(correlation {correlation:.2f}); {remedy}"
        ).replace("forces is suspect: its", "forces are suspect: their")
    near = [name for name, value in known.items() if abs(np.log(slope / value)) < np.log(1.25)]
    hint = f", as if the unit were {near[0]}" if near else ""
    return (
        f"the {label} is suspect: energies change by {slope:.3g} times its work{hint}; look at "
        f"{option} and data.energy_unit"
    ).replace("forces is suspect: energies change by", "forces are suspect: energies change by")
