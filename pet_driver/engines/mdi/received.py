"""What an MDI driver has sent of a structure."""

from __future__ import annotations

import numpy as np
from ase.data import chemical_symbols
from ase.neighborlist import natural_cutoffs, neighbor_list
from numpy.typing import NDArray

from ...errors import PetDriverError
from ...graph import System
from .connection import Floats, Integers

# Of the sum of the covalent radii. Angstrom taken for bohr bring a bond to 0.53 of it.
_NEAREST = 0.6


class Received:
    """Atoms and cell as the driver sent them, and the structure that they make.

    n_atoms: None before >NATOMS; numbers: (n_atoms,), atomic numbers; types: (n_atoms,), of the
    driver; positions: (n_atoms, 3), angstrom; cell: (3, 3), lattice vectors as rows, angstrom;
    origin: (3,), of the cell, angstrom, which no result depends on. None: not sent.

    :param elements: atomic number of each type, for drivers that send types; None: none do
    """

    def __init__(self, elements: tuple[int, ...] | None = None) -> None:
        self.elements = elements
        self.n_atoms: int | None = None
        self.numbers: Integers | None = None
        self.types: Integers | None = None
        self.positions: Floats | None = None
        self.cell: Floats | None = None
        self.origin: Floats = np.zeros(3)
        self._cell_is_old = self._asks_for_cell = False

    def begin(self, n_atoms: int) -> None:
        """Begin a system of so many atoms.

        :raises PetDriverError: if it has none
        """
        if n_atoms < 1:
            raise PetDriverError(f"the driver sent {n_atoms} as >NATOMS; give at least one atom")
        if n_atoms != self.n_atoms:
            self.n_atoms, self.numbers, self.types, self.positions = n_atoms, None, None, None
        # A system without cell is not periodic. Whether this is one cannot be seen if the last one
        # had a cell, as drivers send no sign that there is none.
        self._asks_for_cell = self._cell_is_old

    def place_cell(self, cell: Floats) -> None:
        """Take the lattice vectors, (3, 3), rows, angstrom."""
        self.cell, self._cell_is_old, self._asks_for_cell = cell, False, False

    def count(self, command: str) -> int:
        """Number of atoms, which a command needs.

        :raises PetDriverError: if the driver has not sent it
        """
        if self.n_atoms is None:
            raise PetDriverError(f"the driver sent {command} before >NATOMS; send >NATOMS first")
        return self.n_atoms

    def system(self) -> System:
        """The structure, periodic if there is a cell.

        :raises PetDriverError: if something has not been sent, or an element does not exist
        """
        n_atoms, numbers = self.count("the request for a result"), self.atomic_numbers()
        if self.positions is None:
            raise PetDriverError(f"the driver sent no >COORDS of the {n_atoms} atoms; send them")
        if self._asks_for_cell:
            raise PetDriverError(
                "the driver began another system with >NATOMS and sent no >CELL, after a periodic "
                "one; start another pet-driver for a system that is not periodic"
            )
        self._cell_is_old = self.cell is not None
        periodic = np.full(3, self.cell is not None)
        cell = np.zeros((3, 3)) if self.cell is None else self.cell
        return System(numbers, self.positions.copy(), cell.copy(), periodic)

    def atomic_numbers(self) -> NDArray[np.int64]:
        """Atomic numbers, (n_atoms,), as sent or by type.

        :raises PetDriverError: if neither elements nor types that are known have been sent, or an
            element does not exist
        """
        numbers = self._by_type() if self.numbers is None else self.numbers.astype(np.int64)
        wrong = (numbers < 1) | (numbers >= len(chemical_symbols))
        if wrong.any():
            atom = int(wrong.argmax())
            raise PetDriverError(
                f"the driver sent the atomic number {numbers[atom]} for atom {atom} (counted from "
                "0), which no element has; check its input"
            )
        return numbers

    def _by_type(self) -> NDArray[np.int64]:
        """Atomic numbers, (n_atoms,), of the driver's types."""
        if self.types is None or self.elements is None:
            raise PetDriverError(
                "the driver sent no elements; in LAMMPS write `fix 1 all mdi/qm elements H O` with "
                "the element of each atom type, or start pet-driver with --elements H,O"
            )
        wrong = (self.types < 1) | (self.types > len(self.elements))
        if wrong.any():
            raise PetDriverError(
                f"the driver sent the atom type {self.types[wrong][0]}, and --elements names "
                f"{len(self.elements)}; name the element of each type"
            )
        return np.asarray(self.elements, dtype=np.int64)[self.types - 1]


def check_units(system: System) -> None:
    """Check that no two atoms are so near as if the driver had sent angstrom instead of bohr.

    :raises PetDriverError: if two are much nearer than a bond
    """
    atoms = system.to_atoms()
    first, second, lengths = neighbor_list("ijd", atoms, natural_cutoffs(atoms, mult=_NEAREST))
    if len(lengths):
        nearest = int(lengths.argmin())
        a, b = int(first[nearest]), int(second[nearest])
        raise PetDriverError(
            f"atoms {a} ({atoms.symbols[a]}) and {b} ({atoms.symbols[b]}), counted from 0, are "
            f"{lengths[nearest]:.2f} angstrom apart in the first structure, much less than a bond; "
            "check the geometry, and that the driver sends bohr"
        )
