"""Scales: the physical size of one unit of the network's outputs."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Scales:
    """Atomic baseline and units of the outputs; one object, shared by all who convert units.

    baseline: energy of each species, eV, in the order of the hyperparameters; energy: eV per unit
    of the network; properties: of the covariant outputs that have labels, by name, in the units of
    the labels; ranks: number of indices of these outputs, 1 for a vector; unlabelled: scales of
    further covariant outputs of the model that the training started from, kept as they are; units:
    of the covariant outputs of that model.
    """

    baseline: list[float]
    energy: float
    properties: dict[str, float] = field(default_factory=dict)
    ranks: dict[str, int] = field(default_factory=dict)
    unlabelled: dict[str, float | list[float]] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
