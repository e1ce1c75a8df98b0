"""Small networks and options in which a GPU, pretended or real, and a CPU are compared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ase.build import molecule

from helpers import CONTRAST, FOREIGN, FOREIGN_PAPER, MODERN, PAPER
from pet_driver.model import Hyperparameters

# Bent, linear and larger molecules, two atoms and one.
MOLECULES = [molecule(name) for name in ("H2O", "CO2", "CH3CH2OH", "H2", "O")]
CHARGED = {"charge": 1.0, "spin": 2}
CASES: dict[str, tuple[Hyperparameters, dict[str, Any]]] = {
    "layer": (MODERN, {}),
    "none": (MODERN, {"scope": "none"}),
    "atom": (MODERN, {"scope": "atom"}),
    "structure": (MODERN, {"scope": "structure"}),
    "contrast": (CONTRAST, {}),
    "named frames": (MODERN, {"frames": "accuracy"}),
    "parity": (MODERN, {"parity": True, "extra_rotations": 1}),
    "little memory": (MODERN, {"memory_share": 1e-7}),
    "chunk": (MODERN, {"chunk": 16}),
    "paper": (PAPER, {}),
    "foreign": (FOREIGN, CHARGED),
    "foreign, atom": (replace(FOREIGN, scope="none"), {"scope": "atom", **CHARGED}),
    "foreign paper": (FOREIGN_PAPER, {}),
    "tensors": (replace(MODERN, properties=(("dipole", 1), ("alpha", 2))), {}),
}
