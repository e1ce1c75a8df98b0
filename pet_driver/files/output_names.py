"""Names of outputs that have a meaning of their own wherever a model has them.

Forces and a virial that a network predicts directly, instead of as derivatives of the energy; the
names are those of metatrain.
"""

from __future__ import annotations

DIRECT_FORCES = "non_conservative_forces"  # vectors of atoms, eV/angstrom
DIRECT_VIRIAL = "non_conservative_virial"  # tensors of atoms, eV; their sum is -dE/dstrain
DIRECT_UNITS = {DIRECT_FORCES: "eV/angstrom", DIRECT_VIRIAL: "eV"}
