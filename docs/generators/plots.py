"""Plots of files of results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

matplotlib.use("Agg")

Content = Mapping[str, Any]
COLORS = ("#1f5f8b", "#d98324", "#4b8b3b", "#8b3b6e")


def draw(name: str, content: Content, path: Path) -> str:
    """Draw the plot of a file; returns what it shows, in words."""
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    words = PLOTS[name](content, figure)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    return words


def _ecse_cost(content: Content, figure: Figure) -> str:
    axis = figure.subplots()
    names = list(content["structures"])
    sets = ("speed", "accuracy", "paper")
    for k, key in enumerate(sets):
        heights = [content["structures"][name]["cost_over_plain"][key] for name in names]
        places = [i + 0.27 * (k - 1) for i in range(len(names))]
        axis.bar(places, heights, 0.25, label=key, color=COLORS[k])
    axis.set_xticks(range(len(names)), [name.split(",")[0] for name in names], rotation=30)
    axis.set(yscale="log", ylabel="time / time of plain PET")
    axis.legend(title="frame constants", fontsize=8, title_fontsize=8)
    return "Cost of exactness relative to plain PET, by structure and set of frame constants"


def _gpu(content: Content, figure: Figure) -> str:
    axes = figure.subplots(1, 3, sharey=True)
    for axis, model in zip(axes, ("water", "XS", "S"), strict=True):
        for color, (scope, label) in zip(
            COLORS, {"layer": "exact", "none": "plain"}.items(), strict=False
        ):
            rows = [
                row
                for row in content["steps"]["timing"]["rows"]
                if row["name"].startswith(f"{model}, {scope}, float32,") and "ms" in row
            ]
            axis.plot(
                [row["atoms"] for row in rows],
                [row["ms"] for row in rows],
                "o-",
                color=color,
                label=label,
                markersize=3,
            )
        axis.set(xscale="log", yscale="log", xlabel="atoms", title=model)
    axes[0].set(ylabel="ms per step")
    axes[0].legend(fontsize=8)
    return "Milliseconds per step against the number of atoms, exact and plain, for three models"


def _symmetrization(content: Content, figure: Figure) -> str:
    axis = figure.subplots()
    for color, (name, model) in zip(COLORS, content["models"].items(), strict=False):
        found = sorted(model["constants"].values(), key=lambda one: one["frames per atom"])
        axis.plot(
            [one["frames per atom"] for one in found],
            [one["symmetrization force"] for one in found],
            "o",
            color=color,
            label=name,
        )
    axis.set(xlabel="frames per atom", ylabel="symmetrization force, meV/Å", yscale="log")
    axis.legend(fontsize=8)
    return "Symmetrization force against the number of frames per atom, for two models"


def _trainings(content: Content, figure: Figure) -> str:
    axis = figure.subplots()
    for name, found in content["trainings"].items():
        axis.plot(found["frames per atom"], found["symmetrization force"], "o", color=COLORS[0])
        axis.annotate(
            name,
            (found["frames per atom"], found["symmetrization force"]),
            xytext=(4, 4),
            textcoords="offset points",
            fontsize=7,
        )
    axis.set(xlabel="frames per atom", ylabel="symmetrization force, meV/Å")
    axis.margins(0.2)
    return "Symmetrization force against frames per atom, for models trained with other constants"


def _paper(content: Content, figure: Figure) -> str:
    axis = figure.subplots()
    found = content["experiments"].values()
    studies = sorted({one["study"] for one in found if one["study"].startswith("methane")})
    for color, study in zip(COLORS, studies, strict=False):
        for scope, line in (("plain", "--"), ("exact", "-")):
            points = sorted(
                (row["frames"], row["errors"]["energy_rmse_meV_per_atom"])
                for one in found
                if one["study"] == study
                for row in one["trainings"]
                if row["scope"] == scope
            )
            label = f"{study.removeprefix('methane, ')}, {scope}"
            x, y = [count for count, _ in points], [error for _, error in points]
            axis.plot(x, y, line, marker="o", color=color, label=label)
    axis.set(xscale="log", yscale="log", xlabel="training frames of CH4")
    axis.set_ylabel("energy error, meV/atom")
    if studies:
        axis.legend(fontsize=8)
    return "Error of energies of CH4 against the number of training frames, plain and exact"


PLOTS: dict[str, Callable[[Content, Figure], str]] = {
    "ecse_cost": _ecse_cost,
    "gpu": _gpu,
    "gpu_first": _gpu,
    "paper": _paper,
    "symmetrization_silicon": _symmetrization,
    "symmetrization_silicon_shipped": _symmetrization,
    "trainings_curve_silicon": _trainings,
    "trainings_curve_water": _trainings,
}
