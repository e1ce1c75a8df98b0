"""Colors and shapes that the drawings share."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

matplotlib.use("Agg")
matplotlib.rcParams.update({"svg.hashsalt": "pet-driver", "font.size": 9})

BLUE, ORANGE, GREEN, GREY = "#1f5f8b", "#d98324", "#4b8b3b", "#777777"
Point = tuple[float, float]


def save(figure: Figure, path: Path) -> None:
    """Write a drawing; the same one each time."""
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """A drawing without axes; a unit is an inch."""
    figure = Figure(figsize=(width, height))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, width), ylim=(0, height))
    axis.axis("off")
    return figure, axis


def box(axis: Axes, at: Point, size: Point, text: str, color: str = BLUE) -> None:
    """A box with a text, its corner at a point."""
    shape = FancyBboxPatch(
        at, *size, boxstyle="round,pad=0,rounding_size=0.08", fc=color + "22", ec=color, lw=1.2
    )
    axis.add_patch(shape)
    centre = (at[0] + size[0] / 2, at[1] + size[1] / 2)
    axis.text(*centre, text, ha="center", va="center", fontsize=8.5)


def arrow(axis: Axes, start: Point, end: Point, color: str = "black", bend: float = 0.0) -> None:
    """An arrow from one point to another."""
    style = {"arrowstyle": "-|>", "color": color, "lw": 1.2}
    style["connectionstyle"] = f"arc3,rad={bend}"
    axis.annotate("", end, start, arrowprops=style)
