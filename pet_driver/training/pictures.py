"""Plots: learning curves and parity plots."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .accuracy import Comparison, heading, is_root_mean_square
from .units import EV_PER_CUBIC_ANGSTROM

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_POINTS = 20_000

Pair = tuple[np.ndarray, np.ndarray]


def can_draw() -> bool:
    """Whether matplotlib is installed; if so, it is set to draw into files."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    return True


def draw_curves(rows: list[dict[str, float]], path: Path) -> None:
    """Plot the loss and the errors of the validation frames against the step.

    :param rows: of ``log.csv``, at least one
    """
    import matplotlib.pyplot as plt

    names = [name for name in rows[0] if is_root_mean_square(name) or name == "loss"]
    figure, axes = plt.subplots(
        1, len(names), figsize=(3.4 * len(names), 3.0), layout="constrained", squeeze=False
    )
    for axis, name in zip(axes[0], names, strict=True):
        there = [row for row in rows if name in row]
        axis.plot([row["step"] for row in there], [row[name] for row in there], ".-")
        axis.set(xlabel="step", title=heading(name), yscale="log")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_parity(parts: dict[str, list[Comparison]], path: Path) -> None:
    """Plot predictions against labels, one panel per quantity.

    :param parts: comparisons by name in the legend
    """
    import matplotlib.pyplot as plt

    drawn = {label: _pairs(part) for label, part in parts.items()}
    panels = sorted({name for pairs in drawn.values() for name in pairs}, key=_order)
    if not panels:
        return
    figure, axes = plt.subplots(
        1, len(panels), figsize=(3.6 * len(panels), 3.4), layout="constrained", squeeze=False
    )
    for axis, name in zip(axes[0], panels, strict=True):
        for label, pairs in drawn.items():
            if name in pairs:
                _scatter(axis, *pairs[name], label)
        axis.set(xlabel="label", ylabel="predicted", title=name)
        axis.axline((np.mean(axis.get_xlim()),) * 2, slope=1.0, color="black", lw=0.6, zorder=0)
        axis.legend(fontsize=7)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _scatter(axis: Axes, predicted: np.ndarray, labels: np.ndarray, name: str) -> None:
    if len(labels) > _MOST_POINTS:
        some = np.random.default_rng(0).choice(len(labels), _MOST_POINTS, replace=False)
        predicted, labels = predicted[some], labels[some]
    axis.plot(labels, predicted, ".", ms=3, alpha=0.5, label=name, rasterized=True)


def _order(name: str) -> tuple[int, str]:
    known = ("energy", "force", "stress")
    return (next((k for k, x in enumerate(known) if name.startswith(x)), len(known)), name)


def _pairs(part: list[Comparison]) -> dict[str, Pair]:
    """Predictions and labels, (n,) each, by title of the panel."""
    found: dict[str, list[Pair]] = {}

    def add(title: str, pair: Pair | tuple[float, float], factor: float) -> None:
        predicted, label = (np.ravel(x) * factor for x in pair)
        found.setdefault(title, []).append((predicted, label))

    for c in part:
        if c.energy is not None:
            add("energy, eV/atom", c.energy, 1.0 / c.atoms)
        if c.forces is not None:
            add("force, eV/Å", c.forces, 1.0)
        if c.stress is not None:
            add("stress, GPa", c.stress, EV_PER_CUBIC_ANGSTROM)
        for name, pair in c.properties.items():
            add(name, pair, 1.0)
    return {
        title: (np.concatenate([x for x, _ in pairs]), np.concatenate([y for _, y in pairs]))
        for title, pairs in found.items()
    }
