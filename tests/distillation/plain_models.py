"""Small plain models with random weights, and structures for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ase import Atoms

from helpers import CONTRAST
from pet_driver.files.checkpoint import Checkpoint, random_checkpoint
from pet_driver.graph import System

TINY = replace(CONTRAST, width=8, node_width=8, feedforward_width=8, head_width=8, scope="none")


def plain_model(energy_scale: float = 30.0, **changes: object) -> Checkpoint:
    """Random weights; a small energy scale keeps the dynamics stable."""
    checkpoint = random_checkpoint(replace(TINY, **changes))
    return replace(checkpoint, energy_scale=energy_scale, name="plain", digest="0" * 64)


def molecules(count: int, seed: int = 0) -> list[System]:
    """Distorted water molecules."""
    rng = np.random.default_rng(seed)
    rest = np.array([[0.0, 0.0, 0.0], [0.76, 0.59, 0.0], [-0.76, 0.59, 0.0]])
    return [
        System.from_atoms(Atoms("OHH", rest + 0.1 * rng.normal(size=rest.shape)))
        for _ in range(count)
    ]
