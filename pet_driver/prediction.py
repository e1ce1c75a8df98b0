"""What a potential says of a structure, and how it follows from the gradient with respect to edge
vectors.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from .errors import PetDriverError
from .exchange import SwapPlan


@dataclass
class Prediction:
    """Results for one structure, or for the atoms of one rank.

    energy: eV, of the whole system; energies: (n_atoms,), eV; forces: (n_atoms, 3), eV/angstrom;
    virial: (3, 3), -dE/dstrain = sum r (x) f, eV, symmetric, of the whole system; vectors, tensors:
    (n_atoms, 3) and (n_atoms, 3, 3) by name, for the covariant outputs that the model has.
    """

    energy: float
    energies: np.ndarray
    forces: np.ndarray
    virial: np.ndarray
    vectors: dict[str, np.ndarray] = field(default_factory=dict)
    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    uncertainty: np.ndarray | None = None

    def stress(self, volume: float) -> np.ndarray:
        """(3, 3) eV/angstrom^3, the sign of ASE.

        :param volume: angstrom^3
        """
        return -self.virial / abs(volume)

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

    def check(self) -> Prediction:
        """Itself.

        :raises PetDriverError: if a number is not finite
        """
        finite = np.isfinite(self.energies)
        for values in (self.forces, *self.vectors.values(), *self.tensors.values()):
            finite &= np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
        if not finite.all():
            raise PetDriverError(
                f"the result for atom {int(np.argmin(finite))} (counted from 0) is not finite; "
                "look at the geometry around it, the structure is far outside of what the model "
                "was trained for"
            )
        return self


def forces_from(gradient: Tensor, plan: SwapPlan, centre: Tensor, n_centres: int) -> Tensor:
    """F_i = sum_j (dE/dr_ij - dE/dr_ji) with r_ij = r_j - r_i, (n_centres, 3).

    :param gradient: (n_edges, 3), dE/dr_ij, eV/angstrom
    :param centre: (n_edges,)
    """
    difference = gradient - plan.swap(gradient)
    return gradient.new_zeros(n_centres, 3).index_add(0, centre, difference)


def virials_from(gradient: Tensor, vectors: Tensor, structure: Tensor, count: int) -> Tensor:
    """-dE/dstrain = -sum r_ij (x) dE/dr_ij, (count, 3, 3).

    Symmetrized: for plain PET the antisymmetric part is the spurious torque on the box, for an
    exact model it vanishes.

    :param gradient, vectors: (n_edges, 3), eV/angstrom and angstrom
    :param structure: (n_edges,), index of the structure of each edge
    """
    outer = -vectors.detach()[:, :, None] * gradient[:, None, :]
    virials = gradient.new_zeros(count, 3, 3).index_add(0, structure, outer)
    return 0.5 * (virials + virials.transpose(1, 2))
