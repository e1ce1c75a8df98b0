"""Symmetrization force: how much frames themselves, and the change of their weights, push atoms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ..graph import System
from .potential import Potential

_SHARE = 1.0 / 3.0  # of forces and of errors, above which the symmetrization force is too large


@dataclass(frozen=True)
class SymmetrizationForce:
    """Root-mean-square components of forces, eV/angstrom.

    symmetrization: of `Potential.symmetrization_forces`; plain: of the forces of plain PET with the
    same weights; error: of the force error where it is known, otherwise None; frames: mean number
    per atom.
    """

    symmetrization: float
    plain: float
    frames: float
    error: float | None = None

    @classmethod
    def of(
        cls, potential: Potential, structures: Sequence[Atoms | System], error: float | None = None
    ) -> SymmetrizationForce:
        """Measure it on some structures.

        :param error: of the forces, root-mean-square component, eV/angstrom; None: not known
        """
        through_frames = potential.symmetrization_forces(structures)
        plain = [p.forces for p in potential.plain().compute(list(structures))]
        counts = potential.frames(structures).counts().double()
        return cls(
            root_mean_square(*through_frames), root_mean_square(*plain), counts.mean().item(), error
        )

    @property
    def share(self) -> float:
        """Symmetrization force relative to the forces of plain PET."""
        return self.symmetrization / self.plain if self.plain > 0.0 else 0.0

    def warning(self) -> str | None:
        """A sentence where the symmetrization force is too large; None: it is not."""
        return too_large(self.symmetrization, self.plain, self.error)


def too_large(symmetrization: float, plain: float | None, error: float | None) -> str | None:
    """A sentence where the symmetrization force is above a third of what it is compared with.

    All are root-mean-square components in eV/angstrom.

    :param plain: of the forces of plain PET; None: not known
    :param error: of the force error; None: not known
    """
    for value, name in ((plain, "the plain forces"), (error, "the force error")):
        if value is not None and symmetrization > _SHARE * value:
            return (
                f"the symmetrization force is {1e3 * symmetrization:.3g} meV/A, more than a third "
                f"of {name} ({1e3 * value:.3g} meV/A): predictions in different frames differ "
                "too much; use frame constants for accuracy, or train further with a larger "
                "symmetrization_weight and a smaller sampled_share"
            )
    return None


def root_mean_square(*parts: NDArray[np.float64]) -> float:
    """Root-mean-square component of vectors, (n, 3) each."""
    return float(np.sqrt(np.mean(np.concatenate(parts) ** 2)))
