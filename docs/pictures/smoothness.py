"""Energy of a random network as a neighbor moves away, with ECSE and in one frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from matplotlib.figure import Figure
from style import BLUE, ORANGE, save

from pet_driver.evaluation.options import EvaluationOptions
from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import random_checkpoint
from pet_driver.frames import NAMED_CONSTANTS
from pet_driver.model import Hyperparameters

HYPER = Hyperparameters(
    species=(6,),
    cutoff=4.0,
    width=16,
    node_width=16,
    feedforward_width=16,
    head_width=16,
    heads=2,
    message_layers=1,
    frames=NAMED_CONSTANTS["accuracy"],
)
OTHERS = [[0.0, 0.0, 0.0], [0.1, 1.5, 0.2], [-0.4, -0.5, 1.55], [-1.3, 0.2, -1.1]]


def draw(path: Path) -> None:
    """Scan the distance of one neighbor of the first atom."""
    distances = np.linspace(1.25, 2.15, 181)
    exact, single, counts = _energies(distances)
    figure = Figure(figsize=(7.2, 2.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(distances, exact, color=BLUE, label="ECSE")
    steps = np.abs(np.diff(single)) > 8 * np.median(np.abs(np.diff(single)))
    for part in np.split(np.arange(len(single)), np.flatnonzero(steps) + 1):
        label = "the heaviest frame" if part[0] == 0 else None
        left.plot(distances[part], single[part], color=ORANGE, label=label)
    left.set(xlabel="distance of a neighbor, Å", ylabel="energy of the atom, eV")
    left.legend(fontsize=8)
    right.step(distances, counts, color=BLUE, where="mid")
    right.set(xlabel="distance of a neighbor, Å", ylabel="frames of the atom", ylim=(0, None))
    save(figure, path)


def _energies(distances: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energy of the first atom with all frames, in its heaviest frame, and the number of frames."""
    potential = Potential(random_checkpoint(HYPER, seed=4), EvaluationOptions(dtype="float64"))
    plain = potential.plain()
    direction = np.array([1.0, 0.25, -0.15]) / np.linalg.norm([1.0, 0.25, -0.15])
    structures = [Atoms("C5", [*OTHERS, d * direction]) for d in distances]
    exact = [found.energies[0] for found in potential.compute(structures)]
    single, counts = [], []
    for atoms in structures:
        frames = potential.frames([atoms])
        of_first = frames.centre == 0
        heaviest = int(torch.argmax(frames.weights[of_first]))
        turned = atoms.copy()
        turned.positions = atoms.positions @ frames.frames[of_first][heaviest].numpy()
        single.append(plain.compute(turned).energies[0])
        counts.append(int(of_first.sum()))
    return np.array(exact), np.array(single), np.array(counts)
