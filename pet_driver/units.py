"""Atomic units as i-PI sends them. Inside pet-driver lengths are angstrom and energies eV.

>>> f"1 angstrom = {1.0 / BOHR} bohr"
'1 angstrom = 1.8897261 bohr'
>>> f"{HARTREE / BOHR:.4f} eV/angstrom in 1 hartree/bohr"
'51.4221 eV/angstrom in 1 hartree/bohr'
"""

from __future__ import annotations

# The constants of i-PI 3.3 (ipi/utils/units.py): a length or an energy that is sent there and
# comes back is the same number.
BOHR = 1.0 / 1.8897261  # angstrom
HARTREE = 1.0 / 0.036749326  # eV
