"""A frame of two neighbors, and the windows of which its weight is made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from style import BLUE, GREEN, GREY, ORANGE, save

from pet_driver.frames import NAMED_CONSTANTS
from pet_driver.frames.switches import switch_off, switch_on

NEIGHBORS = np.array([[1.0, 0.25], [-0.2, 1.25], [-1.5, -0.6], [0.5, -1.9], [2.3, 1.6]])
INNER, MARGIN = 1.75, 0.5


def draw(path: Path) -> None:
    """Draw both."""
    figure = Figure(figsize=(7.2, 3.1), layout="constrained")
    left, right = figure.subplots(1, 2)
    _frame(left)
    _windows(right)
    save(figure, path)


def _frame(axis) -> None:  # noqa: ANN001 (matplotlib's Axes)
    for radius, dashes, fill in ((INNER, "--", 0.08), (INNER - MARGIN, ":", 0.0)):
        axis.add_patch(Circle((0, 0), radius, fc=BLUE, alpha=fill, ec="none"))
        axis.add_patch(Circle((0, 0), radius, fill=False, ec=GREY, ls=dashes))
    axis.plot(*NEIGHBORS.T, "o", color=GREY, ms=8)
    axis.plot(0, 0, "o", color="black", ms=10)
    for k, name in enumerate(("j", "k")):
        axis.plot(*NEIGHBORS[k], "o", color=ORANGE, ms=9)
        axis.annotate(f"${name}$", NEIGHBORS[k] + 0.1)
    first = NEIGHBORS[0] / np.linalg.norm(NEIGHBORS[0])
    third = np.array([first[1], -first[0]])  # e2 points at the viewer
    for axis_vector, name, color in ((first, "$e_1$", BLUE), (third, "$e_3$", GREEN)):
        arrow = {"arrowstyle": "-|>", "color": color, "lw": 2}
        axis.annotate("", 0.8 * axis_vector, (0, 0), arrowprops=arrow)
        axis.annotate(
            name,
            0.4 * axis_vector + ((-0.1, 0.12) if name == "$e_1$" else (0.1, -0.2)),
            color=color,
        )
    axis.annotate(r"$R_\mathrm{in}$", (0.0, -INNER - 0.3), ha="center")
    axis.annotate(r"$R_\mathrm{in}-\Delta$", (-0.75, -INNER + MARGIN + 0.2), ha="center")
    axis.set(xlim=(-2.6, 2.8), ylim=(-2.4, 2.1), aspect="equal", title="a frame of $j$ and $k$")
    axis.axis("off")


def _windows(axis) -> None:  # noqa: ANN001 (matplotlib's Axes)
    constants = NAMED_CONSTANTS["speed"]
    r = torch.linspace(0.8, 1.3, 400, dtype=torch.float64) * INNER
    inside = switch_off(r, INNER, constants.margin)
    axis.plot(
        (r - INNER).numpy(), inside.numpy(), color=BLUE, label=r"$f_c$ of $r - R_\mathrm{in}$, Å"
    )
    z = torch.linspace(0.0, 0.5, 400, dtype=torch.float64)
    start = constants.sin2_threshold - constants.sin2_width
    rising = switch_on(z, start, constants.sin2_width)
    axis.plot(z.numpy(), rising.numpy(), color=ORANGE, label=r"$q_c$ of $\sin^2\theta$")
    axis.set(title="windows (constants: speed)", ylim=(-0.05, 1.35))
    axis.legend(fontsize=8, loc="upper center", ncols=2)
