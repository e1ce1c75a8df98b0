"""Atomic baseline: energies per element fitted to the total energies, and scales of the labels."""

from __future__ import annotations

import numpy as np
from ase.data import chemical_symbols

from ..errors import PetDriverError
from .data import Frame

_NO_SPREAD = 1e-6  # eV; energies are rounded, and those of large structures more


def fit_baseline(
    frames: list[Frame], species: tuple[int, ...], predicted: np.ndarray | None = None
) -> list[float]:
    """Energies per element, eV, in the order of `species`, fitted to the total energies.

    The least-squares solution of smallest norm, which exists for data of one composition too.

    :param predicted: (n_frames,), energies to subtract before, eV; None: zero
    :return: zeros if no frame has an energy
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
    """Root-mean-square component of the forces, eV/angstrom, used as the unit of the network.

    Without forces it is the standard deviation of the energies from the baseline, eV.

    :raises PetDriverError: if all forces are zero
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
    residuals = [
        f.labels.energy - sum(table[int(z)] for z in f.system.numbers)
        for f in frames
        if f.labels.energy is not None
    ]
    spread = float(np.std(residuals)) if residuals else 0.0
    return spread if spread > _NO_SPREAD else 1.0  # rounding is no scale


def property_scales(frames: list[Frame], names: list[str]) -> dict[str, float]:
    """Root-mean-square component of each covariant label, divided by the root of the atom count.

    That is the contribution of one atom, if those of all atoms are independent.

    :param names: of the covariant outputs
    :return: by name, in the units of the labels; 1 where there are no labels or all are zero
    """
    scales = {}
    for name in names:
        shares = [
            f.labels.properties[name].ravel() / np.sqrt(len(f.system))
            for f in frames
            if name in f.labels.properties
        ]
        scale = float(np.sqrt(np.mean(np.concatenate(shares) ** 2))) if shares else 0.0
        scales[name] = scale or 1.0
    return scales


def describe_baseline(baseline: list[float], species: tuple[int, ...]) -> dict[str, float]:
    """Baseline by symbol of the element, for the model card."""
    return {chemical_symbols[z]: round(e, 6) for z, e in zip(species, baseline, strict=True)}
