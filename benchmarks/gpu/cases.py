"""Small networks and options in which a GPU and a CPU are compared; as in tests/rehearsal.

A test compares them with those of tests/rehearsal/test_devices.py, which cannot be imported
where a real card is used.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ase import Atoms
from ase.build import molecule

from pet_driver.frames import NAMED_CONSTANTS, FrameConstants
from pet_driver.model import ForeignHyperparameters, Hyperparameters

MODERN = Hyperparameters(
    species=(1, 6, 8),
    cutoff=3.5,
    width=16,
    node_width=24,
    feedforward_width=16,
    head_width=16,
    heads=2,
    radial_waves=4,
    frames=FrameConstants(pruning_fraction=0.6, pruning_width=0.4, pruning_rounds=1),
)
CONTRAST = replace(MODERN, frames=NAMED_CONSTANTS["speed"])
PAPER = Hyperparameters(
    species=(1, 6, 8),
    cutoff=3.5,
    cutoff_width=0.5,
    cutoff_function="cosine",
    block="paper",
    width=16,
    node_width=16,
    feedforward_width=32,
    head_width=16,
    heads=2,
    attention_layers=2,
    normalization="layer",
    activation="silu",
    order="post",
)
FOREIGN = replace(
    MODERN,
    cutoff=4.5,
    radial_waves=0,
    foreign=ForeignHyperparameters(
        adaptive_neighbors=6.0,
        final_combination=True,
        zbl_radii=(0.31, 0.76, 0.66),
        largest_charge=2,
        largest_spin=3,
    ),
)
FOREIGN_PAPER = replace(
    PAPER,
    cutoff_function="bump",
    foreign=ForeignHyperparameters(
        adaptive_neighbors=5.0,
        adaptive_method="grid",
        zbl_radii=(1.0, 1.5, 2.0),
        neighbor_species=True,
    ),
)
_CHARGED = {"charge": 1.0, "spin": 2}
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
    "foreign": (FOREIGN, _CHARGED),
    "foreign, atom": (replace(FOREIGN, scope="none"), {"scope": "atom", **_CHARGED}),
    "foreign paper": (FOREIGN_PAPER, {}),
    "tensors": (replace(MODERN, properties=(("dipole", 1), ("alpha", 2))), {}),
}


def molecules() -> list[Atoms]:
    """Bent, linear and larger molecules, two atoms and one."""
    return [molecule(name) for name in ("H2O", "CO2", "CH3CH2OH", "H2", "O")]
