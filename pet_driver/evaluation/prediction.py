"""What a potential says of a structure."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from ..errors import PetDriverError
from .scopes import Evaluation

DIRECT_FORCES, DIRECT_VIRIAL = "non_conservative_forces", "non_conservative_virial"


@dataclass
class Prediction:
    """Results for one structure, or for the atoms of one rank.

    energy: eV, of the whole system; energies: (n_atoms,), eV; forces: (n_atoms, 3), eV/angstrom;
    virial: (3, 3), -dE/dstrain = sum r (x) f, eV, symmetric, of the whole system; virials:
    (n_atoms, 3, 3), each edge's share given to its two ends in equal parts; vectors, tensors:
    (n_atoms, 3) and (n_atoms, 3, 3) by name, for the covariant outputs that the model has;
    uncertainty: eV, standard deviation of the energy, where it was asked for;
    edge_gradients: (n_edges, 3), dE/dr_ij, of a domain's edges only.
    """

    energy: float
    energies: np.ndarray
    forces: np.ndarray
    virial: np.ndarray
    virials: np.ndarray
    vectors: dict[str, np.ndarray] = field(default_factory=dict)
    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    uncertainty: float | None = None
    edge_gradients: Tensor | None = None

    @classmethod
    def of(cls, result: Evaluation, forces: Tensor, virials: Tensor, atoms: slice) -> Prediction:
        """Some atoms of an evaluation.

        :param forces: (n_atoms, 3), eV/angstrom; virials: (n_atoms, 3, 3), eV; both of all atoms
        """
        energies, virials = result.energies[atoms].cpu().numpy(), virials[atoms].cpu().numpy()
        found = {name: x[atoms].cpu().numpy() for name, x in result.properties.items()}
        return cls(
            float(energies.sum()),
            energies,
            forces[atoms].cpu().numpy(),
            virials.sum(axis=0),
            virials,
            {name: x for name, x in found.items() if x.ndim == 2},
            {name: x for name, x in found.items() if x.ndim == 3},
        )

    def stress(self, volume: float) -> np.ndarray:
        """(3, 3) eV/angstrom^3, the sign of ASE.

        :param volume: angstrom^3
        """
        return -self.virial / abs(volume)

    def minus(self, other: Prediction) -> Prediction:
        """What this one has more than another of the same atoms."""
        return Prediction(
            self.energy - other.energy,
            self.energies - other.energies,
            self.forces - other.forces,
            self.virial - other.virial,
            self.virials - other.virials,
            {name: x - other.vectors[name] for name, x in self.vectors.items()},
            {name: x - other.tensors[name] for name, x in self.tensors.items()},
        )

    def with_direct_forces(self) -> Prediction:
        """Forces and virials that the model reads out directly instead of the gradient's."""
        forces = self.vectors[DIRECT_FORCES]
        virials = np.zeros_like(self.virials)
        if DIRECT_VIRIAL in self.tensors:
            tensors = self.tensors[DIRECT_VIRIAL]
            virials = 0.5 * (tensors + tensors.transpose(0, 2, 1))
        return dataclasses.replace(
            self,
            forces=forces - forces.mean(axis=0),
            virial=virials.sum(axis=0),
            virials=virials,
        )

    def total(self, name: str) -> np.ndarray:
        """Sum over the atoms of a vector, (3,), or of a tensor, (3, 3).

        :raises PetDriverError: if the model has no such output
        """
        outputs = {**self.vectors, **self.tensors}
        if name not in outputs:
            raise PetDriverError(
                f"the model has no output {name!r}; it has {', '.join(outputs) or 'only energies'}"
            )
        return outputs[name].sum(axis=0)

    def check(self, names: np.ndarray | None = None) -> Prediction:
        """Itself.

        :param names: (n_atoms,), what the atoms are called; None: their index, from 0
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
                "look at the geometry around it, the structure is far outside of what the model "
                "was trained for"
            )
        return self
