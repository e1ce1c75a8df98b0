"""Graphs of whole structures, whose neighbor lists are used again while atoms move little."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from ase import Atoms

from .charge_spin import ChargeAndSpin
from .graph import Graph, graph_of_edges
from .resident_list import ResidentList
from .system import System, species_indices
from .verlet_cache import VerletCache

Structures: TypeAlias = Atoms | System | Sequence[Atoms | System]  # one, or several


class StructureGraphs:
    """Makes graphs of structures that one process holds as a whole.

    :param species: atomic numbers that the model knows, in its order
    :param lists: neighbor lists of earlier structures
    :param charge_and_spin: of structures that have none, and what the model knows
    :param device: of the graphs
    """

    def __init__(
        self,
        species: tuple[int, ...],
        lists: VerletCache,
        charge_and_spin: ChargeAndSpin,
        device: torch.device,
    ) -> None:
        self.species, self.lists, self.device = species, lists, device
        self.charge_and_spin = charge_and_spin

    def of(self, structures: Structures) -> Graph:
        """Graph of one structure, or of several, one after another.

        :raises PetDriverError: for unknown elements, charges or spins, and impossible geometries
        """
        systems = as_systems(structures)
        several = len(systems) > 1
        return graph_of_edges(
            [species_indices(system.numbers, self.species) for system in systems],
            [self.lists.edges(system, n == 0 and several) for n, system in enumerate(systems)],
            self.device,
            self.charge_and_spin.table(systems, self.device),
        )

    def resident_list(self, systems: Sequence[System]) -> ResidentList:
        """An empty list on the device for structures of these atoms, one after another.

        :raises PetDriverError: for unknown elements, charges or spins
        """
        species = [species_indices(system.numbers, self.species) for system in systems]
        return ResidentList(
            np.concatenate(species),
            tuple(len(system) for system in systems),
            self.lists.cutoff,
            self.device,
            self.charge_and_spin.table(systems, self.device),
        )


def as_systems(structures: Structures) -> list[System]:
    """One structure, or several, as `System`; those of ASE are copied."""
    if isinstance(structures, Atoms | System):
        structures = [structures]
    return [x if isinstance(x, System) else System.from_atoms(x) for x in structures]
