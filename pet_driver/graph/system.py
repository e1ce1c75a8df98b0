"""One structure as plain arrays, the same for all engines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from ..errors import PetDriverError

CHARGE_AND_SPIN_KEYS = ("charge", "spin", "spin_multiplicity")  # in ASE's info


@dataclass
class System:
    """Atoms, cell and periodicity.

    numbers: (n_atoms,) atomic numbers; positions: (n_atoms, 3), angstrom, wrapped or not; cell: (3,
    3), lattice vectors as rows, angstrom, any handedness, rows of non-periodic directions may be
    zero; pbc: (3,) bool; charge: total, in units of e, None: the default; spin: multiplicity, 2 S +
    1, None: the default. Both are checked and filled in by `ChargeAndSpin`.
    """

    numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    charge: Any = None
    spin: Any = None

    @classmethod
    def from_atoms(cls, atoms: Atoms) -> System:
        """Copy a structure of ASE.

        Charge and spin multiplicity are read from ``atoms.info``, keys "charge", and
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
        """Convert to a structure of ASE, with charge and spin multiplicity in its ``info``."""
        given = {"charge": self.charge, "spin": self.spin}
        return Atoms(
            numbers=self.numbers,
            positions=self.positions,
            cell=self.cell,
            pbc=self.pbc,
            info={key: value for key, value in given.items() if value is not None},
        )

    def __len__(self) -> int:
        return len(self.numbers)


def check_finite(
    positions: NDArray[np.float64],
    cell: NDArray[np.float64] | None = None,
    names: NDArray[np.int64] | None = None,
) -> None:
    """Check that all coordinates are finite.

    :param positions: (n_atoms, 3), angstrom
    :param cell: (3, 3), angstrom; None: only the positions are checked
    :param names: (n_atoms,), what the message calls the atoms; None: their index, from 0
    :raises PetDriverError: if a coordinate or a cell component is NaN or infinite
    """
    bad = np.nonzero(~np.isfinite(positions).all(axis=1))[0]
    if bad.size:
        name = f"{bad[0]} (counted from 0)" if names is None else f"{names[bad[0]]}"
        raise PetDriverError(
            f"the position of atom {name} is {positions[bad[0]].tolist()}; "
            "inspect the previous step: the dynamics is unstable, or the file is damaged"
        )
    if cell is not None and not np.isfinite(cell).all():
        raise PetDriverError(
            f"the cell {cell.tolist()} is not finite; check the input or the barostat"
        )


def species_indices(numbers: NDArray[np.int64], known: tuple[int, ...]) -> NDArray[np.int64]:
    """Index of each atomic number in the list of a model, (n_atoms,).

    >>> species_indices(np.array([8, 1, 1]), known=(1, 8))
    array([1, 0, 0])

    :param numbers: (n_atoms,)
    :param known: atomic numbers that the model knows
    :raises PetDriverError: if an element is unknown to the model
    """
    table = np.full(max(max(known), int(numbers.max(initial=0))) + 1, -1, dtype=np.int64)
    table[list(known)] = np.arange(len(known))
    if numbers.size and numbers.min() < 0:
        raise PetDriverError(
            f"atomic number {numbers.min()} is negative; give every atom an element"
        )
    indices: NDArray[np.int64] = table[numbers]
    if (indices < 0).any():
        missing = sorted({_name(z) for z in numbers[indices < 0].tolist()})
        names = " ".join(_name(z) for z in known)
        raise PetDriverError(
            f"the structure contains {' '.join(missing)}, but the model knows only {names}; "
            "use a model trained with that element"
        )
    return indices


def _name(number: int) -> str:
    """Chemical symbol, or words for a number that no element has."""
    return chemical_symbols[number] if number < len(chemical_symbols) else f"element {number}"
