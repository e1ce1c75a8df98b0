"""The potential that OpenMM-ML adds to a system, or to the atoms of a system that it describes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm.app import Topology
from openmmml.mlpotential import MLPotentialImpl

from ...errors import PetDriverError
from ...evaluation.options import OPTIONS
from ...evaluation.potential import Potential
from ...graph import species_indices
from ..given_model import open_potential
from .computation import Computation, Source


class PETPotentialImpl(MLPotentialImpl):  # type: ignore[misc]  # not there when types are checked
    """A PET model as OpenMM-ML calls it.

    :param model: name of a shipped model, path of a model file, or a loaded `Potential`, which has
        its options already
    :param options: see `EvaluationOptions`; charge and spin are those of the atoms described by PET
    :raises PetDriverError: if the model or the device is not there, an option is wrong, or a loaded
        potential has other options than given

    potential: evaluates the atoms.
    """

    def __init__(self, model: str | Path | Potential, **options: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.potential = open_potential(model, **options)
        self._source = None if isinstance(model, Potential) else Source.of(model, self.potential)

    def addForces(  # noqa: N802 (OpenMM-ML's name)
        self,
        topology: Topology,
        system: openmm.System,
        atoms: Iterable[int] | None,
        forceGroup: int,  # noqa: N803 (OpenMM-ML's name)
        **args: object,
    ) -> None:
        """Add a `PythonForce` that evaluates the model.

        The atoms are periodic where the topology or the system is.

        :param topology: of the whole system
        :param system: which gets the force
        :param atoms: indices of the atoms that PET describes; None: all
        :param forceGroup: of the force
        :param args: further arguments of ``createSystem`` or ``createMixedSystem``; an embedding
            may have some, PET has none
        :raises PetDriverError: for an unknown or a missing element, and for options of the model
            among the arguments
        """
        _check_arguments(args, whole=atoms is None)
        indices = None if atoms is None else [int(index) for index in atoms]
        numbers = _numbers(topology, indices)
        species_indices(numbers, self.potential.species)
        periodic = (
            topology.getPeriodicBoxVectors() is not None or system.usesPeriodicBoundaryConditions()
        )
        force = openmm.PythonForce(Computation(self.potential, numbers, periodic, self._source))
        force.setName("PET")
        force.setForceGroup(forceGroup)
        force.setUsesPeriodicBoundaryConditions(periodic)
        if indices is not None:
            force.setParticles(indices)
        system.addForce(force)

    def getMLLongRange(self) -> bool:  # noqa: N802 (OpenMM-ML's name)
        """Whether atoms interact beyond the cutoffs of the layers: they do not."""
        return False


def _numbers(topology: Topology, indices: list[int] | None) -> NDArray[np.int64]:
    """Atomic numbers, (n_atoms,).

    :raises PetDriverError: if an atom has no element
    """
    atoms = list(topology.atoms())
    if indices is not None:
        atoms = [atoms[index] for index in indices]
    for atom in atoms:
        if atom.element is None:
            raise PetDriverError(
                f"atom {atom.index} ({atom.name}, counted from 0) of the topology has no element; "
                "give every atom that PET describes an element"
            )
    return np.array([atom.element.atomic_number for atom in atoms], dtype=np.int64)


def _check_arguments(args: dict[str, object], whole: bool) -> None:
    """Refuse what would have no effect.

    :param whole: whether PET describes all atoms, so that there is no embedding
    :raises PetDriverError: for options of the model, and for anything in a whole system
    """
    for name, value in args.items():
        if name in OPTIONS or name == "model":
            raise PetDriverError(
                f"{name} is {value!r} among the arguments of the system, where it has no effect; "
                f'give it to the potential, MLPotential("pet", ..., {name}={value!r})'
            )
        if whole:
            raise PetDriverError(
                f"createSystem has the argument {name}={value!r}, which PET does not know; leave "
                "it out"
            )
