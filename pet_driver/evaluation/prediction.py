"""Predictions: energies, forces and virials as arrays, in eV and angstrom."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import PetDriverError
from ..files.output_names import DIRECT_FORCES, DIRECT_VIRIAL
from ..graph import Collective
from .evaluation import Evaluation

Floats = NDArray[np.float64]


def packed(found: Evaluation, forces: Tensor, virials: Tensor) -> Tensor:
    """All numbers of a prediction in one table, so that they leave the device together.

    Parameters as of `Prediction.of`.

    :return: (n_atoms, n_numbers), float64: energy, force, virial, covariant outputs
    """
    columns = [found.energies[:, None], forces, virials.flatten(1)]
    columns += [x.flatten(1) for x in found.properties.values()]
    return torch.cat([x.detach().to(torch.float64) for x in columns], dim=1)


@dataclass(frozen=True)
class Prediction:
    """Results for one structure, for several, or for the atoms of one rank.

    energy: eV, of the whole system; energies: (n_atoms,), eV; forces: (n_atoms, 3), eV/angstrom;
    virial: (3, 3), -dE/dstrain = sum r (x) f, eV, symmetric, of the whole system; virials:
    (n_atoms, 3, 3), eV, half of the virial of each edge on each of its two atoms; vectors, tensors:
    (n_atoms, 3) and (n_atoms, 3, 3) by name, for the covariant outputs that the model has;
    uncertainty: eV, standard deviation of the energy, where it was computed; edge_gradients:
    (n_edges, 3), dE/dr_ij, eV/angstrom, of a whole graph, None: of a part of one.
    """

    energy: float
    energies: Floats
    forces: Floats
    virial: Floats
    virials: Floats
    vectors: dict[str, Floats] = field(default_factory=dict)
    tensors: dict[str, Floats] = field(default_factory=dict)
    uncertainty: float | None = None
    edge_gradients: Tensor | None = None

    @classmethod
    def of(cls, found: Evaluation, forces: Tensor, virials: Tensor) -> Prediction:
        """Prediction from an evaluation in eV and angstrom.

        :param found: result of `Rescaling.applied`
        :param forces: (n_atoms, 3), eV/angstrom
        :param virials: (n_atoms, 3, 3), eV
        """
        rows = packed(found, forces, virials).cpu().numpy()
        shapes = {name: tuple(x.shape[1:]) for name, x in found.properties.items()}
        return dataclasses.replace(cls.unpacked(rows, shapes), edge_gradients=found.gradient)

    @classmethod
    def unpacked(cls, rows: Floats, shapes: Mapping[str, tuple[int, ...]]) -> Prediction:
        """Prediction from a table of all numbers.

        :param rows: (n_atoms, n_numbers), see `packed`
        :param shapes: of each covariant output, for one atom
        """
        ends = np.cumsum([1, 3, 9, *(math.prod(shape) for shape in shapes.values())])
        energies, forces, virials, *outputs = np.split(rows[:, : ends[-1]], ends[:-1], axis=1)
        properties = {
            name: x.reshape(-1, *shape)
            for (name, shape), x in zip(shapes.items(), outputs, strict=True)
        }
        per_atom = virials.reshape(-1, 3, 3)
        return cls(
            float(energies.sum()),
            np.ascontiguousarray(energies[:, 0]),
            np.ascontiguousarray(forces),
            per_atom.sum(axis=0),
            per_atom,
            {name: x for name, x in properties.items() if x.ndim == 2},
            {name: x for name, x in properties.items() if x.ndim == 3},
        )

    def of_all(self, collective: Collective) -> Prediction:
        """The same, with the energy and the virial of all processes that share the structure.

        Collective. ``energy`` and ``virial`` were sums over this process's own atoms.
        """
        totals = collective.total(np.append(self.virial.ravel(), self.energy))
        return dataclasses.replace(self, virial=totals[:9].reshape(3, 3), energy=float(totals[9]))

    def split(self, sizes: Sequence[int]) -> list[Prediction]:
        """Predictions of the structures that follow each other in this one.

        :param sizes: number of atoms of each
        """
        found = []
        for end, size in zip(np.cumsum(sizes), sizes, strict=True):
            part = slice(end - size, end)
            energies, virials = self.energies[part], self.virials[part]
            found.append(
                Prediction(
                    float(energies.sum()),
                    energies,
                    self.forces[part],
                    virials.sum(axis=0),
                    virials,
                    {name: x[part] for name, x in self.vectors.items()},
                    {name: x[part] for name, x in self.tensors.items()},
                )
            )
        return found

    def stress(self, volume: float) -> Floats:
        """Stress, (3, 3), eV/angstrom^3, with the sign of ASE.

        :param volume: angstrom^3
        """
        return -self.virial / abs(volume)

    def minus(self, other: Prediction) -> Prediction:
        """Difference of this prediction and another one of the same atoms."""
        return Prediction(
            self.energy - other.energy,
            self.energies - other.energies,
            self.forces - other.forces,
            self.virial - other.virial,
            self.virials - other.virials,
            {name: x - other.vectors[name] for name, x in self.vectors.items()},
            {name: x - other.tensors[name] for name, x in self.tensors.items()},
        )

    def with_direct_forces(self, sizes: Sequence[int]) -> Prediction:
        """Prediction with the forces and virial that the model reads out directly.

        The mean of the forces of each structure is subtracted; without a direct virial it is zero.

        :param sizes: number of atoms of each structure
        """
        ends = np.cumsum(sizes)[:-1]
        parts = np.split(self.vectors[DIRECT_FORCES], ends)
        forces = np.concatenate([part - part.mean(axis=0) for part in parts])
        virials = np.zeros_like(self.virials)
        if DIRECT_VIRIAL in self.tensors:
            tensors = self.tensors[DIRECT_VIRIAL]
            virials = 0.5 * (tensors + tensors.transpose(0, 2, 1))
        return dataclasses.replace(
            self,
            forces=forces,
            virial=virials.sum(axis=0),
            virials=virials,
        )

    def total(self, name: str) -> Floats:
        """Sum over the atoms of a vector, (3,), or of a tensor, (3, 3).

        :raises PetDriverError: if the model has no such output
        """
        outputs = {**self.vectors, **self.tensors}
        if name not in outputs:
            raise PetDriverError(
                f"the model has no output {name!r}; it has {', '.join(outputs) or 'only energies'}"
            )
        total: Floats = outputs[name].sum(axis=0)
        return total

    def check_structures(self, sizes: Sequence[int], names: NDArray[np.int64] | None) -> None:
        """Check that all results of structures, one after another, are finite.

        :param sizes: numbers of atoms
        :param names: see `check`; for one structure
        :raises PetDriverError: if a number is not finite
        """
        if len(sizes) == 1:
            self.check(names)
            return
        for part in self.split(sizes):
            part.check()

    def check(self, names: NDArray[np.int64] | None = None) -> None:
        """Check that all results are finite.

        :param names: (n_atoms,), what the message calls the atoms; None: their index, from 0
        :raises PetDriverError: if a number is not finite
        """
        finite = np.isfinite(self.energies)
        for values in (self.forces, *self.vectors.values(), *self.tensors.values()):
            finite &= np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
        if not finite.all():
            first = int(np.argmin(finite))
            name = f"{first} (counted from 0)" if names is None else f"{names[first]}"
            raise PetDriverError(
                f"the result for atom {name} is not finite; "
                "inspect the geometry around it: the structure is far from the training data"
            )
