"""Energies per element that explain most of the total energies, and the scale of what is left."""

from __future__ import annotations

import numpy as np
from ase.data import chemical_symbols

from ..errors import PetDriverError
from .data import Frame


def fit_baseline(
    frames: list[Frame], species: tuple[int, ...], predicted: np.ndarray | None = None
) -> list[float]:
    """Energy per element that explains the total energies best, eV.

    The least-squares solution of smallest norm, so that data of a single composition is no problem.

    :param predicted: (n_frames,), energies that something else explains already, eV
    """
    known = np.array([frame.labels.energy is not None for frame in frames])
    if not known.any():
        return [0.0] * len(species)
    counts = np.array(
        [[np.count_nonzero(f.system.numbers == z) for z in species] for f in frames],
        dtype=np.float64,
    )
    energies = np.array(
        [frame.labels.energy for frame in frames if frame.labels.energy is not None]
    )
    if predicted is not None:
        energies = energies - predicted[known]
    solution, *_ = np.linalg.lstsq(counts[known], energies, rcond=None)
    return [float(x) for x in solution]


def force_scale(frames: list[Frame], baseline: list[float], species: tuple[int, ...]) -> float:
    """Root-mean-square component of the forces; where there are none, the spread of the energies
    about the baseline. eV (per angstrom).

    :raises PetDriverError: if it is zero
    """
    forces = [f.labels.forces.ravel() for f in frames if f.labels.forces is not None]
    if forces:
        scale = float(np.sqrt(np.mean(np.concatenate(forces) ** 2)))
        if not scale:
            raise PetDriverError(
                "all forces of the training frames are zero; correct data.forces_key"
            )
        return scale
    table = dict(zip(species, baseline, strict=True))
    left = [
        f.labels.energy - sum(table[int(z)] for z in f.system.numbers)
        for f in frames
        if f.labels.energy is not None
    ]
    return float(np.std(left)) or 1.0 if left else 1.0


def property_scales(frames: list[Frame], names: list[str]) -> dict[str, float]:
    """Root-mean-square component of each covariant label over the square root of the number of
    atoms: what an atom gives, if atoms give at random.
    """
    scales = {}
    for name in names:
        shares = [
            f.labels.properties[name].ravel() / np.sqrt(len(f.system))
            for f in frames
            if name in f.labels.properties
        ]
        scales[name] = (
            float(np.sqrt(np.mean(np.concatenate(shares) ** 2))) if shares else 0
        ) or 1.0
    return scales


def describe_baseline(baseline: list[float], species: tuple[int, ...]) -> dict[str, float]:
    """Baseline by symbol of the element, for the model card."""
    return {chemical_symbols[z]: round(e, 6) for z, e in zip(species, baseline, strict=True)}
