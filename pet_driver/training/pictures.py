"""Learning curves and parity plots."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .accuracy import Comparison, heading
from .units import EV_PER_CUBIC_ANGSTROM

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_POINTS = 20_000


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    return True


def draw_curves(rows: list[dict[str, float]], path: Path) -> None:
    """Errors of the validation frames against the step.

    :param rows: of ``log.csv``
    """
    import matplotlib.pyplot as plt

    names = [name for name in rows[0] if "rmse" in name or name == "loss"]
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
    """Predictions against labels, one panel per quantity.

    :param parts: comparisons by what they are called in the legend
    """
    import matplotlib.pyplot as plt

    panels = sorted({name for part in parts.values() for name in _pairs(part)}, key=_order)
    figure, axes = plt.subplots(
        1, len(panels), figsize=(3.6 * len(panels), 3.4), layout="constrained", squeeze=False
    )
    for axis, name in zip(axes[0], panels, strict=True):
        for label, part in parts.items():
            if name in (pairs := _pairs(part)):
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


def _pairs(part: list[Comparison]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Predictions and labels, (n,) each, by title of the panel."""
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for c in part:
        if c.energy is not None:
            found.setdefault("energy, eV/atom", []).append(tuple(x / c.atoms for x in c.energy))
        if c.forces is not None:
            found.setdefault("force, eV/Å", []).append(c.forces)
        if c.stress is not None:
            found.setdefault("stress, GPa", []).append(
                tuple(x * EV_PER_CUBIC_ANGSTROM for x in c.stress)
            )
        for name, pair in c.properties.items():
            found.setdefault(name, []).append(pair)
    return {
        name: tuple(np.concatenate([np.ravel(pair[k]) for pair in pairs]) for k in (0, 1))
        for name, pairs in found.items()
    }
