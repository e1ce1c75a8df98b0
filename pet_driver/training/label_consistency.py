"""Consistency of labels: forces or stresses of the wrong sign or unit are found by their work.

Two frames of the same atoms, with displacements u between the atoms (strain removed) and a strain e
between the cells, differ in energy by about ``-(F_1 + F_2)/2 . u + (V_1 s_1 + V_2 s_2)/2 : e``: the
trapezoidal rule for the work of the forces F and stresses s (positive under tension).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .data import Frame
from .frame_pairs import displacement_gradient, displacements, largest_strain, nearest_pairs
from .units import ENERGIES, EV_PER_CUBIC_ANGSTROM, LENGTHS

_LEAST_PAIRS = 5
_SIGNIFICANT = 3.5  # correlation times the root of the number of pairs, for a warning
_CLEAR = 0.5  # correlation of volume and stress, likewise
_FACTOR = 3.0  # slopes beyond it mean another unit; where the rule holds well, less is needed
_SHARP_FACTOR, _SHARP = 1.7, 0.98
_SOFTEST, _STIFFEST = 0.05, 2000.0  # GPa, of a bulk modulus


@dataclass(frozen=True)
class _Mismatch:
    """How energy differences depend on the work, where they are not equal.

    correlation: of the ranks of both; slope: ratio of the medians of their sizes.
    """

    correlation: float
    slope: float


def inconsistencies(frames: list[Frame], stress_sign: int = 1) -> list[str]:
    """Warnings about forces or stresses inconsistent with the energies (wrong sign or unit).

    :param stress_sign: with which the stresses were read, see `DataOptions`
    :return: one sentence for each; none where labels are consistent or too few for a test
    """
    known = [frame for frame in frames if frame.labels.energy is not None]
    advice = f"set data.stress_sign: {-stress_sign}"
    stress = _stress_against_energy(known, advice)
    # The test against the volume needs fewer labels than that against the energy, but shows less.
    found = [_forces_against_energy(known), stress or _stress_against_volume(known, advice)]
    return [sentence for sentence in found if sentence]


def _forces_against_energy(frames: list[Frame]) -> str | None:
    """Test the forces with pairs of frames that have the same cell."""
    frames = [frame for frame in frames if frame.labels.forces is not None]
    pairs = nearest_pairs(frames, lambda a, b: largest_strain(a, b) < 1e-6)
    found = _mismatch(
        np.array([_energy_change(a, b) for a, b in pairs]),
        np.array([-_work_of_forces(a, b) for a, b in pairs]),
        _SHARP_FACTOR,
    )
    if found is None:
        return None
    if found.correlation < 0.0:
        return (
            "the forces are inconsistent with the energies: their work has the opposite sign of "
            f"the energy change (correlation {found.correlation:.2f}); correct them in the file"
        )
    return (
        f"the forces are inconsistent with the energies: energies change by {found.slope:.3g} "
        f"times the work of the forces{_unit_hint(found.slope)}; check data.forces_unit and "
        "data.energy_unit"
    )


def _unit_hint(slope: float) -> str:
    """The unit of forces that would explain a ratio of energy change and work, if there is one."""
    known = {f"{e}/{x}": a / b for e, a in ENERGIES.items() for x, b in LENGTHS.items()}
    for name, value in known.items():
        if value != 1.0 and abs(np.log(slope / value)) < np.log(1.25):
            return f", as if the unit were {name}"
    return ""


def _stress_against_energy(frames: list[Frame], advice: str) -> str | None:
    """Test the stress with pairs of frames whose cells differ.

    :param advice: where the sign is wrong
    """
    labelled = [f for f in frames if f.labels.stress is not None and f.labels.forces is not None]
    pairs = nearest_pairs(labelled, lambda a, b: 1e-3 < largest_strain(a, b) < 0.1)
    found = _mismatch(
        np.array([_energy_change(a, b) + _work_of_forces(a, b) for a, b in pairs]),
        np.array([_work_of_stress(a, b) for a, b in pairs]),
        _FACTOR,
    )
    if found is None:
        return None
    if found.correlation < 0.0:
        return (
            "the stress is inconsistent with the energies: its work has the opposite sign of the "
            f"energy change (correlation {found.correlation:.2f}); {advice}"
        )
    return (
        f"the stress is inconsistent with the energies: energies change by {found.slope:.3g} times "
        "the work of the stress; check data.stress_unit, data.stress_kind and data.energy_unit"
    )


def _stress_against_volume(frames: list[Frame], advice: str) -> str | None:
    """Test whether pressure falls as the volume grows, with a possible bulk modulus.

    :param advice: where the sign is wrong
    """
    volume, tension = _volumes_and_tensions([f for f in frames if f.labels.stress is not None])
    if not volume.size or volume.std() < 5e-3 or not tension.std():
        return None
    correlation = float(np.corrcoef(volume, tension)[0, 1])
    modulus = EV_PER_CUBIC_ANGSTROM * float((volume * tension).sum() / (volume**2).sum())
    if correlation < -_CLEAR:
        return (
            "the stress has the sign of a pressure: it falls as the volume grows (correlation "
            f"{correlation:.2f}); {advice}"
        )
    if correlation > _CLEAR and not _SOFTEST < modulus < _STIFFEST:
        return (
            f"the stress is implausible: it implies a bulk modulus of {modulus:.3g} GPa; check "
            "data.stress_unit and data.stress_kind"
        )
    return None


def _volumes_and_tensions(
    frames: list[Frame],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Logarithms of the volume per atom and mean normal stresses, eV/angstrom^3, (n,) each.

    Both are deviations from the mean over frames of the same composition.
    """
    groups: dict[tuple[float, ...], list[Frame]] = {}
    for frame in frames:
        numbers, counts = np.unique(frame.system.numbers, return_counts=True)
        shares = np.round(counts / counts.min(), 3)
        groups.setdefault((*numbers, *shares), []).append(frame)
    volumes, tensions = [np.zeros(0)], [np.zeros(0)]
    for group in groups.values():
        if len(group) >= _LEAST_PAIRS:
            v = np.log([frame.volume / len(frame.system) for frame in group])
            s = np.array([np.trace(_label(frame.labels.stress)) / 3.0 for frame in group])
            volumes.append(v - v.mean())
            tensions.append(s - s.mean())
    return np.concatenate(volumes), np.concatenate(tensions)


def _energy_change(a: Frame, b: Frame) -> float:
    """From the first frame to the second, eV."""
    assert a.labels.energy is not None
    assert b.labels.energy is not None
    return b.labels.energy - a.labels.energy


def _work_of_forces(a: Frame, b: Frame) -> float:
    """Work of the forces on the way from one frame to the other, eV."""
    moved, turn = displacements(a, b)
    return 0.5 * float(((_label(a.labels.forces) + _label(b.labels.forces) @ turn.T) * moved).sum())


def _work_of_stress(a: Frame, b: Frame) -> float:
    """Work of the stress on the way from one cell to the other, eV."""
    gradient = displacement_gradient(a, b)
    strain = 0.5 * (gradient + gradient.T)
    stress = 0.5 * (a.volume * _label(a.labels.stress) + b.volume * _label(b.labels.stress))
    return float((stress * strain).sum())


def _label(values: np.ndarray | None) -> np.ndarray:
    """Values of a label that a frame was chosen for having."""
    assert values is not None
    return values


def _mismatch(
    changes: npt.NDArray[np.float64], works: npt.NDArray[np.float64], sharp_factor: float
) -> _Mismatch | None:
    """How energy differences and works differ; None if they agree or the data are not clear.

    :param changes: (n_pairs,), energy differences, eV
    :param works: (n_pairs,), what they should be, eV
    :param sharp_factor: ratio that counts as a mismatch where the correlation is almost perfect
    """
    if len(changes) < _LEAST_PAIRS or not changes.std() or not works.std():
        return None
    # Distant pairs dominate sums and follow the rule least; ranks and medians depend less on them.
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
    return _Mismatch(correlation, slope)


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.argsort(np.argsort(values)).astype(np.float64)
