"""What one unit of the network's outputs is."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Scales:
    """baseline: energy of each species, eV; energy: eV per unit of the network; properties: by
    name, in the units of the labels; ranks: of the covariant outputs that have labels.
    """

    baseline: list[float]
    energy: float
    properties: dict[str, float] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)
