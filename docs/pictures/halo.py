"""Two domains with ghosts, and the messages that their ranks exchange."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.patches import Rectangle
from style import BLUE, GREEN, GREY, ORANGE, arrow, canvas, save

CUTOFF = 0.75


def draw(path: Path) -> None:
    """Draw the two ranks apart, with one cross edge."""
    figure, axis = canvas(7.2, 2.9)
    rng = np.random.default_rng(3)
    cells = np.stack(np.meshgrid(np.arange(10), np.arange(6)), -1).reshape(-1, 2)
    atoms = (cells + 0.5 + rng.uniform(-0.25, 0.25, (len(cells), 2))) * 0.4
    for rank, (shift, color) in enumerate(((0.1, BLUE), (2.2, GREEN))):
        own = (atoms[:, 0] < 2.0) == (rank == 0)
        near = ~own & (np.abs(atoms[:, 0] - 2.0) < CUTOFF)
        start = 0.0 if rank == 0 else 2.0
        corner = (start + shift, 0.1)
        axis.add_patch(Rectangle(corner, 2.0, 2.4, fc=color, alpha=0.12, ec=color))
        corner = (2.0 + shift if rank == 0 else 2.0 - CUTOFF + shift, 0.1)
        axis.add_patch(Rectangle(corner, CUTOFF, 2.4, fill=False, ec=GREY, ls="--"))
        axis.plot(atoms[own, 0] + shift, atoms[own, 1] + 0.1, "o", color=color, ms=5)
        ghosts = atoms[near]
        axis.plot(ghosts[:, 0] + shift, ghosts[:, 1] + 0.1, "o", mfc="none", color=GREY, ms=5)
        axis.text(start + shift + 1.0, 2.65, f"rank {rank}", ha="center", fontsize=10)
    axis.text(2.1 + CUTOFF / 2, 2.65, "ghosts", ha="center", color=GREY)
    axis.text(4.2 - CUTOFF / 2, 2.65, "ghosts", ha="center", color=GREY)
    i = np.argmax(np.where(np.abs(atoms[:, 1] - 1.2) < 0.25, -np.abs(atoms[:, 0] - 1.8), -9))
    j = np.argmax(np.where(np.abs(atoms[:, 1] - 1.2) < 0.25, -np.abs(atoms[:, 0] - 2.3), -9))
    up = np.array([0.0, 0.1])
    at = [atoms[i] + (0.1, 0) + up, atoms[j] + (0.1, 0) + up]
    there = [atoms[i] + (2.2, 0) + up, atoms[j] + (2.2, 0) + up]
    axis.plot(*np.transpose(at), color=ORANGE, lw=2)
    axis.plot(*np.transpose(there), color=ORANGE, lw=2)
    arrow(axis, tuple(np.mean(at, 0)), tuple(np.mean(there, 0)), ORANGE, bend=-0.35)
    arrow(axis, tuple(np.mean(there, 0)), tuple(np.mean(at, 0)), ORANGE, bend=-0.35)
    text = "messages of an edge\nthat crosses:\n$o_{ij}$ one way,\n$o_{ji}$ the other"
    axis.text(6.45, 1.2, text, fontsize=8.5, color=ORANGE, va="center", ha="left")
    axis.set_xlim(0, 7.9)
    save(figure, path)
