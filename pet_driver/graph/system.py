"""One structure as plain arrays, whatever engine it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from ..errors import PetDriverError

CHARGE_AND_SPIN_KEYS = ("charge", "spin", "spin_multiplicity")  # in ASE's info


@dataclass
class System:
    """Atoms, cell and periodicity.

    numbers: (n_atoms,) atomic numbers; positions: (n_atoms, 3), angstrom, wrapped or not; cell: (3,
    3), lattice vectors as rows, angstrom, any handedness, rows of non-periodic directions may be
    zero; pbc: (3,) bool; charge: of the whole, in units of e, and spin: its multiplicity, 2 S + 1,
    as the structure has them, see `ChargeAndSpin`; None: not said.
    """

    numbers: np.ndarray
    positions: np.ndarray
    cell: np.ndarray
    pbc: np.ndarray
    charge: Any = None
    spin: Any = None

    @classmethod
    def from_atoms(cls, atoms: Atoms) -> System:
        """
        Charge and spin multiplicity are what ``atoms.info`` has under "charge", and under
        "spin_multiplicity" or "spin".
        """
        spin = atoms.info.get("spin_multiplicity", atoms.info.get("spin"))
        return cls(
            numbers=np.asarray(atoms.numbers, dtype=np.int64),
            positions=np.array(atoms.positions, dtype=np.float64),
            cell=np.array(atoms.cell.array, dtype=np.float64),
            pbc=np.array(atoms.pbc, dtype=bool),
            charge=atoms.info.get("charge"),
            spin=spin,
        )

    def to_atoms(self) -> Atoms:
        return Atoms(numbers=self.numbers, positions=self.positions, cell=self.cell, pbc=self.pbc)

    def __len__(self) -> int:
        return len(self.numbers)


def check_finite(
    positions: np.ndarray, cell: np.ndarray | None = None, names: np.ndarray | None = None
) -> None:
    """
    :param positions: (n_atoms, 3)
    :param names: (n_atoms,), what the atoms are called; None: their index, from 0
    :raises PetDriverError: if a coordinate or a cell component is NaN or infinite
    """
    bad = np.nonzero(~np.isfinite(positions).all(axis=1))[0]
    if bad.size:
        name = f"{bad[0]} (counted from 0)" if names is None else f"{names[bad[0]]}"
        raise PetDriverError(
            f"the position of atom {name} is {positions[bad[0]].tolist()}; "
            "look at the step before it, the dynamics has become unstable or the file is damaged"
        )
    if cell is not None and not np.isfinite(cell).all():
        raise PetDriverError(
            f"the cell {cell.tolist()} is not finite; check the input or the barostat"
        )


def species_indices(numbers: np.ndarray, known: tuple[int, ...]) -> np.ndarray:
    """Position of each atomic number in the list that the model knows, (n_atoms,).

    :raises PetDriverError: if an element is unknown to the model
    """
    table = np.full(max(max(known), int(numbers.max(initial=0))) + 1, -1, dtype=np.int64)
    table[list(known)] = np.arange(len(known))
    if numbers.size and numbers.min() < 0:
        raise PetDriverError(
            f"atomic number {numbers.min()} is negative; give every atom an element"
        )
    indices = table[numbers]
    if (indices < 0).any():
        missing = sorted({chemical_symbols[z] for z in numbers[indices < 0]})
        names = " ".join(chemical_symbols[z] for z in known)
        raise PetDriverError(
            f"the structure contains {' '.join(missing)}, but the model knows only {names}; "
            "use a model trained with that element"
        )
    return indices
