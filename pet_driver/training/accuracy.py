"""Errors of predictions against labels, in the usual units."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .data import Frame
from .units import EV_PER_CUBIC_ANGSTROM

SYMMETRIZATION = "symmetrization_rms_meV_per_angstrom"  # key of `summary`


@dataclass
class Comparison:
    """Pairs (predicted, label) of one structure, for those quantities that have a label.

    atoms: number of atoms; volume: angstrom^3; group: see `Frame`; energy: eV; forces: (n_atoms,
    3), eV/angstrom; stress: (3, 3), eV/angstrom^3; properties: totals by name, in the units of
    their labels. symmetrization: (n_atoms, 3), eV/angstrom, the symmetrization force, which is
    predicted alone; None: not computed.
    """

    atoms: int
    volume: float
    group: str
    energy: tuple[float, float] | None = None
    forces: tuple[np.ndarray, np.ndarray] | None = None
    stress: tuple[np.ndarray, np.ndarray] | None = None
    properties: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    symmetrization: np.ndarray | None = None


def compare(
    frame: Frame,
    energy: float,
    forces: np.ndarray,
    virial: np.ndarray,
    properties: dict[str, np.ndarray],
) -> Comparison:
    """Predictions for one frame beside its labels.

    :param energy: predicted, eV
    :param forces: (n_atoms, 3), eV/angstrom
    :param virial: (3, 3), eV; minus the stress times the volume
    :param properties: totals by name, (3,) or (3, 3)
    """
    labels = frame.labels
    stress = None
    if labels.stress is not None:
        stress = (-virial / frame.volume, labels.stress)
    return Comparison(
        len(frame.system),
        frame.volume,
        frame.group,
        None if labels.energy is None else (energy, labels.energy),
        None if labels.forces is None else (forces, labels.forces),
        stress,
        {
            name: (properties[name], label)
            for name, label in labels.properties.items()
            if name in properties
        },
    )


def deviations(comparisons: list[Comparison]) -> dict[str, np.ndarray]:
    """Predicted minus label, (n,) each, by quantity and unit.

    Names are ``energy_{}_meV_per_atom`` and so on, where ``{}`` stands for the kind of mean.
    """
    found: dict[str, np.ndarray] = {}

    def add(name: str, parts: list[np.ndarray]) -> None:
        if parts:
            found[name] = np.concatenate([np.ravel(part) for part in parts])

    energies = [(c.energy[0] - c.energy[1]) / c.atoms for c in comparisons if c.energy is not None]
    add("energy_{}_meV_per_atom", [1e3 * np.array(energies)] if energies else [])
    forces = [c.forces[0] - c.forces[1] for c in comparisons if c.forces is not None]
    add("force_{}_meV_per_angstrom", [1e3 * x for x in forces])
    stresses = [(c, c.stress[0] - c.stress[1]) for c in comparisons if c.stress is not None]
    add("stress_{}_GPa", [EV_PER_CUBIC_ANGSTROM * x for _, x in stresses])
    add("virial_{}_meV_per_atom", [1e3 * c.volume / c.atoms * x for c, x in stresses])
    for name in sorted({name for c in comparisons for name in c.properties}):
        pairs = [c.properties[name] for c in comparisons if name in c.properties]
        add(name + "_{}", [predicted - label for predicted, label in pairs])
    return found


def energy_offset(comparisons: list[Comparison]) -> float:
    """Mean error of the energy per atom, eV; zero where there are no energies."""
    known = [(c.energy[0] - c.energy[1]) / c.atoms for c in comparisons if c.energy is not None]
    return float(np.mean(known)) if known else 0.0


def summary(comparisons: list[Comparison], mean_absolute: bool = False) -> dict[str, float]:
    """Root-mean-square errors by quantity and unit, such as ``force_rmse_meV_per_angstrom``.

    ``NAME_spread``, a key of model files, is the standard deviation of the labels of a covariant
    output; ``symmetrization_rms_meV_per_angstrom`` the root-mean-square symmetrization force.

    :param mean_absolute: add mean absolute errors, such as ``force_mae_meV_per_angstrom``
    """
    errors = {}
    for name, values in deviations(comparisons).items():
        errors[name.format("rmse")] = float(np.sqrt(np.mean(values**2)))
        if mean_absolute:
            errors[name.format("mae")] = float(np.mean(np.abs(values)))
    for name in sorted({name for c in comparisons for name in c.properties}):
        labels = [c.properties[name][1] for c in comparisons if name in c.properties]
        errors[f"{name}_spread"] = float(np.sqrt(np.mean((labels - np.mean(labels, axis=0)) ** 2)))
    through_frames = [c.symmetrization.ravel() for c in comparisons if c.symmetrization is not None]
    if through_frames:
        mean_square = np.mean(np.concatenate(through_frames) ** 2)
        errors[SYMMETRIZATION] = 1e3 * float(np.sqrt(mean_square))
    return errors


def is_root_mean_square(name: str) -> bool:
    """Whether a key of `summary` is one of those that logs, plots and tables show."""
    return "_rmse" in name or "_rms_" in name


def by_group(comparisons: list[Comparison]) -> dict[str, list[Comparison]]:
    """Comparisons of each group, sorted by name of the group."""
    groups: dict[str, list[Comparison]] = {}
    for comparison in comparisons:
        groups.setdefault(comparison.group, []).append(comparison)
    return dict(sorted(groups.items()))


def heading(name: str) -> str:
    """Heading of a column: ``energy, meV/atom`` for ``energy_rmse_meV_per_atom``."""
    quantity, _, unit = name.replace("_mae", "_rmse").replace("_rms_", "_rmse_").partition("_rmse")
    unit = unit.strip("_").replace("_per_", "/").replace("angstrom", "Å")
    return f"{quantity}, {unit}" if unit else quantity
