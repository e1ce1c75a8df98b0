"""Requests of i-PI and replies to them, in this package's units and in i-PI's."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ...units import BOHR, HARTREE

Floats = npt.NDArray[np.float64]
# Atomic unit of each extra, in this package's units.
_EXTRA_UNITS = {
    "committee_pot": HARTREE,
    "committee_force": HARTREE / BOHR,
    "committee_virial": HARTREE,
    "energies": HARTREE,
    "dipole": BOHR,
    "energy_uncertainty": HARTREE,
    "symmetry_spread": HARTREE,
}


@dataclass
class Request:
    """Structures to evaluate.

    :param cells: (n_structures, 3, 3), lattice vectors as rows, angstrom
    :param positions: (n_structures, n_atoms, 3), angstrom
    """

    cells: Floats
    positions: Floats

    @classmethod
    def from_atomic_units(cls, cells: Floats, positions: Floats) -> Request:
        """Request from what i-PI sends.

        :param cells: (n_structures, 3, 3), lattice vectors as columns, bohr
        :param positions: (n_structures, n_atoms, 3), bohr
        """
        return cls(cells.transpose(0, 2, 1) * BOHR, positions * BOHR)

    def without_repeats(self) -> Request:
        """Request without the last structures that equal the one before: i-PI fills batches so."""
        count = len(self.positions)
        while count > 1 and self._same(count - 1, count - 2):
            count -= 1
        return Request(self.cells[:count], self.positions[:count])

    def _same(self, a: int, b: int) -> bool:
        return np.array_equal(self.positions[a], self.positions[b]) and np.array_equal(
            self.cells[a], self.cells[b]
        )


@dataclass
class Reply:
    """Result of one structure.

    :param energy: eV
    :param forces: (n_atoms, 3), eV/angstrom
    :param virial: (3, 3), eV
    :param extras: by name, numbers or arrays of one or two dimensions: eV, eV/angstrom, and
        e angstrom for the dipole
    """

    energy: float
    forces: Floats
    virial: Floats
    extras: dict[str, float | Floats] = field(default_factory=dict)

    def in_atomic_units(self) -> tuple[float, Floats, Floats]:
        """Energy, forces (n_atoms, 3) and virial (3, 3) as i-PI takes them."""
        return self.energy / HARTREE, self.forces * (BOHR / HARTREE), self.virial / HARTREE

    def text(self) -> bytes:
        """The extras as i-PI takes them, a JSON object in atomic units; empty without extras."""
        converted = {
            name: (np.asarray(value) / _EXTRA_UNITS[name]).tolist()
            for name, value in self.extras.items()
        }
        return json.dumps(converted, allow_nan=False).encode() if converted else b""
