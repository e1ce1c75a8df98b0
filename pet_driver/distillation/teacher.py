"""The teacher: the average of plain PET over orientations.

It needs no reference data, and unlike the scope "atom" it has no symmetrization force: with the
paper's constants that force was four times the plain forces of a converted model of silicon.

Orientations come in groups: the 12 rotations of a tetrahedron, all turned by one random rotation.
The average over a group is free of all terms of first and second order of the dependence on the
orientation, so its error is several times smaller than that of 12 random rotations, for water,
silicon and an alloy (measured by `benchmarks/orientations.py`). Groups are independent: the error
of their mean follows from their spread, and falls as one over the square root of their number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from ..evaluation.potential import Potential
from ..evaluation.prediction import Prediction
from ..evaluation.rotation_error import random_rotations
from ..frames import tetrahedral_rotations
from ..graph import System

Floats = NDArray[np.float64]

FEWEST_GROUPS = 2  # of held-out structures: an error needs a spread
_ATOMS_AT_A_TIME = {"cpu": 400, "cuda": 20_000}


@dataclass(frozen=True)
class TeacherLabel:
    """Average over orientations for one structure, its error, and the spread of single ones.

    energy: eV; energies: (n_atoms,), eV, of the atoms, with the sum `energy`; forces: (n_atoms, 3),
    eV/angstrom; virial: (3, 3), eV; properties: totals by name, (3,) or (3, 3). energy_noise: eV,
    and force_noise: (n_atoms,), eV/angstrom, are the root-mean-square deviations of one orientation
    from the average, of the force per component; energy_error: eV, and force_error: eV/angstrom,
    the standard errors of the average itself, that of the force the root mean square over
    components; not a number for a single group.
    """

    energy: float
    energies: Floats
    forces: Floats
    virial: Floats
    energy_noise: float
    force_noise: Floats
    energy_error: float
    force_error: float
    properties: dict[str, Floats] = field(default_factory=dict)


class Teacher:
    """Averages plain PET over orientations; sums are in float64.

    :param plain: in scope "none"
    :param groups: number of groups of orientations, at least 1
    :param parity: whether each orientation is inverted too, for the average over O(3)
    :param properties: names of the covariant outputs that are averaged too
    """

    def __init__(
        self,
        plain: Potential,
        groups: int = FEWEST_GROUPS,
        parity: bool = False,
        properties: Iterable[str] = (),
    ) -> None:
        self.plain, self.groups, self.parity = plain, groups, parity
        self.properties = tuple(properties)

    @property
    def orientations(self) -> int:
        """Number of evaluations for one structure."""
        return self.groups * 12 * (1 + self.parity)

    def label(self, system: System, seed: int) -> TeacherLabel:
        """Label a structure.

        :param seed: of the random rotation of each group
        :raises PetDriverError: if the model cannot evaluate the structure
        """
        rotations = group_rotations(self.groups, seed, self.parity)
        found = [p for part in self._parts(rotations, system) for p in self._turned(system, part)]
        shape = rotations.shape[:2]
        energies = np.array([p.energy for p in found]).reshape(shape)
        forces = np.array([p.forces for p in found]).reshape(*shape, len(system), 3)
        mean = forces.mean(axis=(0, 1))
        return TeacherLabel(
            float(energies.mean()),
            np.mean([p.energies for p in found], axis=0),
            mean,
            np.mean([p.virial for p in found], axis=0),
            _deviation(energies),
            np.sqrt(((forces - mean) ** 2).mean(axis=(0, 1, 3)) * _unbiased(forces)),
            _error(energies),
            _error(forces),
            {name: np.mean([p.total(name) for p in found], axis=0) for name in self.properties},
        )

    def _parts(self, rotations: Floats, system: System) -> list[Floats]:
        """Rotations that are evaluated together, (n, 3, 3) each."""
        flat = rotations.reshape(-1, 3, 3)
        most = _ATOMS_AT_A_TIME[self.plain.device.type] // len(system)
        return [flat[k : k + max(most, 1)] for k in range(0, len(flat), max(most, 1))]

    def _turned(self, system: System, rotations: Floats) -> list[Prediction]:
        """Predictions of rotated copies, rotated back.

        :param rotations: (n, 3, 3)
        """
        graph = self.plain.graph([system] * len(rotations))
        matrices = torch.as_tensor(rotations, device=graph.vectors.device)
        of_edges = matrices[graph.structure[graph.edge_centre]].to(graph.vectors.dtype)
        vectors = (of_edges @ graph.vectors[..., None]).squeeze(-1)
        found = self.plain.evaluate(graph.with_vectors(vectors)).split(graph.sizes)
        return [_rotated_back(p, r) for p, r in zip(found, rotations, strict=True)]


def group_rotations(groups: int, seed: int, parity: bool = False) -> Floats:
    """Groups of orientations, (groups, 12, 3, 3), or with ``parity`` (groups, 24, 3, 3).

    The first groups are the same however many are asked for.
    """
    turns = np.concatenate([random_rotations(1, seed * 1009 + k) for k in range(groups)])
    tetrahedral = tetrahedral_rotations().numpy()
    if parity:
        tetrahedral = np.concatenate([tetrahedral, -tetrahedral])
    rotations: Floats = tetrahedral[None] @ turns[:, None]
    return rotations


def groups_needed(labels: Iterable[TeacherLabel], groups: int, error: float) -> int:
    """Number of groups whose mean has a standard error of the forces below ``error``.

    :param labels: of some structures, each of ``groups`` groups
    :param error: eV/angstrom
    """
    of_one = np.mean([groups * label.force_error**2 for label in labels])
    return max(int(np.ceil(of_one / error**2)), 1)


def _rotated_back(found: Prediction, rotation: Floats) -> Prediction:
    """Prediction for a structure from that for its rotated copy."""
    return Prediction(
        found.energy,
        found.energies,
        found.forces @ rotation,
        rotation.T @ found.virial @ rotation,
        found.virials,
        {name: x @ rotation for name, x in found.vectors.items()},
        {name: rotation.T @ x @ rotation for name, x in found.tensors.items()},
    )


def _unbiased(values: Floats) -> float:
    """Factor of a mean square deviation from the mean of all orientations."""
    count = int(values.shape[0] * values.shape[1])
    return count / (count - 1)


def _deviation(values: Floats) -> float:
    """Root-mean-square deviation of one orientation from the mean.

    :param values: (groups, orientations of a group)
    """
    return float(values.std() * np.sqrt(_unbiased(values)))


def _error(values: Floats) -> float:
    """Standard error of the mean over groups, the root mean square over components.

    :param values: (groups, orientations of a group, ...)
    """
    means = values.mean(axis=1)
    if len(means) < FEWEST_GROUPS:
        return float("nan")
    return float(np.sqrt(means.var(axis=0, ddof=1).mean() / len(means)))
