"""The function that OpenMM calls in every step; units are converted here and nowhere else."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import unit

from ...errors import PetDriverError
from ...evaluation.potential import Potential, load_model
from ...graph import System

EV = 1.602176634e-19 * 6.02214076e23 * 1e-3  # kJ/mol, from the exact constants of the SI
ANGSTROM = 0.1  # nm


@dataclass(frozen=True)
class Source:
    """Where a model came from.

    name: of a shipped model, or absolute path; digest: SHA-256 of the file; options: of the
    evaluation, those that are not the default.
    """

    name: str
    digest: str
    options: dict[str, object]

    @classmethod
    def of(cls, model: str | Path, potential: Potential) -> Source:
        """Source of a potential that was loaded from this name or path."""
        path = Path(model)
        name = str(path.resolve()) if path.is_file() else str(model)
        return cls(name, potential.digest, potential.options.changed())

    def load(self) -> Potential:
        """Load the model again.

        :raises PetDriverError: if it is not there any more, or has changed
        """
        potential = load_model(self.name, **self.options)  # type: ignore[arg-type]  # by their names
        if potential.digest != self.digest:
            raise PetDriverError(
                f"{self.name} is not the model that the system was saved with (SHA-256 "
                f"{potential.digest[:12]} instead of {self.digest[:12]}); get that file, or make "
                "the system anew"
            )
        return potential


class Computation:
    """Energy and forces of atoms at the positions of an OpenMM state.

    OpenMM pickles it when a system is saved as XML. Pickles hold where the model is, its hash and
    the options, never weights; the model is loaded in the first step, as OpenMM ends without a
    message where a pickle cannot be read.

    :param potential: evaluates the atoms; None: loaded from the source
    :param numbers: (n_atoms,), atomic numbers
    :param periodic: whether the state has a periodic box
    :param source: where the model came from; None: it was given as a loaded `Potential`
    """

    def __init__(
        self,
        potential: Potential | None,
        numbers: NDArray[np.int64],
        periodic: bool,
        source: Source | None,
    ) -> None:
        self._potential, self._source = potential, source
        self._numbers, self._periodic = numbers, periodic

    def __call__(self, state: openmm.State) -> tuple[float, NDArray[np.float64]]:
        """Evaluate a state.

        :return: energy, kJ/mol, and forces, (n_atoms, 3), kJ/mol/nm
        :raises PetDriverError: see `Potential.compute` and `Source.load`
        """
        if self._potential is None:
            assert self._source is not None  # in a pickle
            self._potential = self._source.load()
        positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer) / ANGSTROM
        cell = np.zeros((3, 3))
        if self._periodic:
            vectors = state.getPeriodicBoxVectors(asNumpy=True)
            cell = np.asarray(vectors.value_in_unit(unit.nanometer)) / ANGSTROM
        system = System(self._numbers, np.asarray(positions), cell, np.full(3, self._periodic))
        prediction = self._potential.compute(system)
        return EV * prediction.energy, EV / ANGSTROM * prediction.forces

    def __reduce__(self) -> tuple[Any, ...]:
        if self._source is None:
            raise pickle.PicklingError(
                "the system holds a loaded Potential, which cannot be saved; give MLPotential the "
                "name or the path of the model"
            )
        return type(self), (None, self._numbers, self._periodic, self._source)
