"""What the report shows: distance to the teacher, symmetrization force, errors, cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from ..evaluation.potential import Potential
from ..evaluation.prediction import Prediction
from ..evaluation.symmetrization import root_mean_square
from ..graph import System
from .teacher import TeacherLabel

Floats = NDArray[np.float64]
ByElement = dict[str, float]

ALL = "all"  # key beside the symbols of elements
MAY_GROW = 1.1  # factor of the distances of virials and covariant outputs, as forces approach
_REPEATS = 3
_MOST_SECONDS = 60.0  # of one evaluation in scope atom that is timed


@dataclass(frozen=True)
class Reference:
    """Labels that a structure brought along, for the report only; None where there is none.

    energy: eV; forces: (n_atoms, 3), eV/angstrom.
    """

    energy: float | None
    forces: Floats | None


@dataclass(frozen=True)
class Deviation:
    """Root-mean-square differences between a potential and the teacher, or labels.

    forces: per component, eV/angstrom, by symbol of the element and for all; energy: eV/atom;
    energy_spread: the same without the mean difference; virial: per component, eV/atom;
    properties: per component of the totals, by name.
    """

    forces: ByElement
    energy: float
    energy_spread: float
    virial: float
    properties: dict[str, float]

    @classmethod
    def from_teacher(
        cls,
        found: Sequence[Prediction],
        systems: Sequence[System],
        labels: Sequence[TeacherLabel],
    ) -> Deviation:
        """Distance to the teacher."""
        sizes = np.array([len(system) for system in systems])
        energies = [p.energy - x.energy for p, x in zip(found, labels, strict=True)] / sizes
        pairs = list(zip(found, labels, sizes, strict=True))
        names = [n for n in labels[0].properties if n in {**found[0].vectors, **found[0].tensors}]
        return cls(
            by_element(systems, [p.forces - x.forces for p, x, _ in pairs]),
            root_mean_square(energies),
            float(energies.std()),
            root_mean_square(np.array([(p.virial - x.virial) / n for p, x, n in pairs])),
            {
                name: root_mean_square(
                    np.array([p.total(name) - x.properties[name] for p, x, _ in pairs])
                )
                for name in names
            },
        )

    def to_dict(self) -> dict[str, float]:
        """Numbers for the card, in meV."""
        return {
            **in_milli("force_rmse_{}_meV_per_angstrom", self.forces),
            "energy_rmse_meV_per_atom": 1e3 * self.energy,
            "energy_spread_meV_per_atom": 1e3 * self.energy_spread,
            "virial_rmse_meV_per_atom": 1e3 * self.virial,
            **{f"{name}_rmse": value for name, value in self.properties.items()},
        }


@dataclass(frozen=True)
class Noise:
    """Noise of orientation of the plain model: root-mean-square deviation of one orientation.

    forces: per component, eV/angstrom, by symbol of the element and for all; energy: eV/atom;
    force_error, energy_error: standard errors of the teacher, in the same units.
    """

    forces: ByElement
    energy: float
    force_error: float
    energy_error: float

    @classmethod
    def of(cls, systems: Sequence[System], labels: Sequence[TeacherLabel]) -> Noise:
        """Noise and errors of some labels."""
        sizes = np.array([len(system) for system in systems])
        return cls(
            by_element(systems, [np.repeat(x.force_noise[:, None], 3, axis=1) for x in labels]),
            root_mean_square(np.array([x.energy_noise for x in labels]) / sizes),
            float(np.sqrt(np.average([x.force_error**2 for x in labels], weights=sizes))),
            root_mean_square(np.array([x.energy_error for x in labels]) / sizes),
        )

    def to_dict(self) -> dict[str, float]:
        """Numbers for the card, in meV."""
        return {
            **in_milli("force_{}_meV_per_angstrom", self.forces),
            "energy_meV_per_atom": 1e3 * self.energy,
        }


@dataclass(frozen=True)
class LabelError:
    """Errors against the labels of the structures: force eV/angstrom, energy eV/atom, or None."""

    force: float | None
    energy: float | None

    @classmethod
    def of(cls, found: Sequence[Prediction], references: Sequence[Reference]) -> LabelError:
        """Root-mean-square errors over those structures that have labels."""
        pairs = list(zip(found, references, strict=True))
        forces = [(p.forces - x.forces).ravel() for p, x in pairs if x.forces is not None]
        energies = [(p.energy - x.energy) / len(p.forces) for p, x in pairs if x.energy is not None]
        return cls(
            root_mean_square(*forces) if forces else None,
            root_mean_square(np.array(energies)) if energies else None,
        )


@dataclass(frozen=True)
class Cost:
    """Frames per atom, and seconds for energy, forces and virial of one structure.

    atom: in scope atom; None: it would take too long.
    """

    frames: float
    plain: float
    layer: float
    atom: float | None

    @classmethod
    def of(cls, exact: Potential, plain: Potential, atom: Potential, system: System) -> Cost:
        """Time each potential on a structure.

        :param exact: in scope layer
        :param atom: in scope atom, of the plain weights
        """
        counts = exact.frames([system]).counts().double()
        frames = counts.mean().item()
        of_plain = _seconds(plain, system, _REPEATS)
        neighbors = len(plain.graph([system]).vectors) / len(system)
        widening = min((1.0 + neighbors) ** plain.hyper.exchanges, len(system))
        affordable = of_plain * frames * widening < _MOST_SECONDS
        return cls(
            frames,
            of_plain,
            _seconds(exact, system, _REPEATS),
            _seconds(atom, system, 1) if affordable else None,
        )


def by_element(systems: Sequence[System], differences: Sequence[Floats]) -> ByElement:
    """Root-mean-square component by symbol of the element, and for all atoms.

    :param differences: (n_atoms, 3) for each structure
    """
    numbers = np.concatenate([system.numbers for system in systems])
    rows = np.concatenate(list(differences))
    found = {ALL: root_mean_square(rows)}
    for z in np.unique(numbers):
        found[chemical_symbols[z]] = root_mean_square(rows[numbers == z])
    return found


def in_milli(name: str, values: ByElement) -> dict[str, float]:
    """Values times 1000, the key of each put into ``name``, that of all atoms left out."""
    return {
        name.replace("_{}" if key == ALL else "{}", "" if key == ALL else key): 1e3 * value
        for key, value in values.items()
    }


def _seconds(potential: Potential, system: System, repeats: int) -> float:
    """Median time of an evaluation, after one that is not counted, if there are several."""
    spent = []
    for _ in range(repeats + (repeats > 1)):
        start = time.perf_counter()
        potential.compute(system)
        spent.append(time.perf_counter() - start)
    return float(np.median(spent[-repeats:]))
