"""Choice of frame constants for a model that was trained without frames."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from ..errors import PetDriverError
from ..files.checkpoint import Checkpoint
from ..frames import NAMED_CONSTANTS
from ..graph import Structures, as_systems
from .potential import Potential
from .symmetrization import SymmetrizationForce

# Cheapest first. The paper's are not among them: their sharp windows make large forces.
CANDIDATES = ("speed", "accuracy")
_SMALL = 0.05  # share of the plain forces that a symmetrization force may have, if others have less

_ATOMS = 12
_MOST_SPECIES = 4
_PACKING = 0.3  # share of the volume that spheres of the covalent radii fill
_CLOSEST = 0.85  # distance of two atoms, relative to the sum of their covalent radii
_TRIES = 2000


@dataclass(frozen=True)
class FrameChoice:
    """Frame constants that were chosen, and what was measured for each candidate.

    name: key of `NAMED_CONSTANTS`; found: by name; structure: formula of what it was measured on.
    """

    name: str
    found: Mapping[str, SymmetrizationForce]
    structure: str

    def applied(self, checkpoint: Checkpoint) -> Checkpoint:
        """The model with these constants, and the measurement on its card."""
        hyper = dataclasses.replace(checkpoint.hyper, frames=NAMED_CONSTANTS[self.name])
        measured = {
            name: {
                "frames_per_atom": round(x.frames, 2),
                "symmetrization_rms_meV_per_angstrom": round(1e3 * x.symmetrization, 2),
                "plain_force_rms_meV_per_angstrom": round(1e3 * x.plain, 2),
            }
            for name, x in self.found.items()
        }
        choice = {"name": self.name, "measured_on": self.structure, "measured": measured}
        return dataclasses.replace(
            checkpoint, hyper=hyper, card={**checkpoint.card, "frames": choice}
        )


def choose_frames(
    checkpoint: Checkpoint,
    structures: Structures,
    advance: Callable[[], None] = lambda: None,
    scope: str = "atom",
    limit: float | None = None,
    device: str = "cpu",
) -> FrameChoice:
    """Choose the cheapest frame constants whose symmetrization force is small.

    Where no candidate's is small, the one with the smallest is chosen.

    :param structures: what is measured
    :param advance: called after each candidate
    :param scope: "atom" or "layer"
    :param limit: largest root-mean-square symmetrization force that is small, eV/angstrom; None: a
        twentieth of the plain forces
    :param device: "cpu", "cuda" or "cuda:N"
    :raises PetDriverError: if the model cannot evaluate the structure
    """
    found = {}
    systems = as_systems(structures)
    for name in CANDIDATES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a scope other than that of training is meant
            potential = Potential(checkpoint, scope=scope, frames=name, device=device)
        found[name] = SymmetrizationForce.of(potential, systems)
        advance()
    small = [
        name
        for name, x in found.items()
        if (x.share <= _SMALL if limit is None else x.symmetrization <= limit)
    ]
    best = small[0] if small else min(found, key=lambda name: found[name].symmetrization)
    formulas = sorted({x.to_atoms().get_chemical_formula() for x in systems})
    return FrameChoice(best, found, ", ".join(formulas))


def random_structure(species: tuple[int, ...], seed: int = 0) -> Atoms:
    """A periodic box of a few atoms at random, about as dense as a liquid.

    :param species: atomic numbers, of which some are drawn if there are many
    :raises PetDriverError: if no room is found for an atom
    """
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(np.asarray(species))[:_MOST_SPECIES]
    numbers = np.resize(drawn, _ATOMS)
    radii = covalent_radii[numbers]
    edge = float((np.sum(4.0 / 3.0 * np.pi * radii**3) / _PACKING) ** (1.0 / 3.0))
    positions = np.empty((0, 3))
    for k in range(_ATOMS):
        for _ in range(_TRIES):
            place = rng.uniform(0.0, edge, 3)
            apart = positions - place
            apart -= edge * np.round(apart / edge)
            distances = np.linalg.norm(apart, axis=1)
            if (distances > _CLOSEST * (radii[:k] + radii[k])).all():
                positions = np.vstack([positions, place])
                break
        else:
            raise PetDriverError(
                f"no random structure of the elements {sorted(set(map(int, drawn)))} was found; "
                "give one with --structure"
            )
    return Atoms(numbers, positions, cell=[edge] * 3, pbc=True)
