"""Atomic units, as i-PI has them on its wire. Inside pet-driver everything is angstrom and eV."""

from __future__ import annotations

# The constants of i-PI 3.3 (ipi/utils/units.py), so that a length or an energy that goes there and
# back is the same number.
BOHR = 1.0 / 1.8897261  # angstrom
HARTREE = 1.0 / 0.036749326  # eV
