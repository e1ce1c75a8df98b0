"""Report on a model: errors per property and group, rotation error, symmetrization force, plots."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..evaluation.potential import Potential
from ..evaluation.prediction import Prediction
from ..evaluation.rotation_error import in_orientations, random_rotations
from ..evaluation.symmetrization import SymmetrizationForce
from . import pictures
from .accuracy import Comparison, by_group, compare, heading, summary
from .data import Frame, thinned

_ROTATED = 3  # structures
_ROTATIONS = 4
_SYMMETRIZED = 20  # structures whose symmetrization forces are computed
_MOST_GROUPS = 30  # in the text; the table in CSV has all


def compared(frames: Sequence[Frame], predictions: Sequence[Prediction]) -> list[Comparison]:
    """Predictions beside labels, one comparison per frame."""
    return [
        compare(
            frame,
            p.energy,
            p.forces,
            p.virial,
            {name: x.sum(axis=0) for name, x in {**p.vectors, **p.tensors}.items()},
        )
        for frame, p in zip(frames, predictions, strict=True)
    ]


def write_report(
    folder: Path, potential: Potential, frames: list[Frame], comparisons: list[Comparison]
) -> str:
    """Write ``report.txt``, ``errors.csv`` and, where matplotlib is installed, ``parity.png``.

    :param folder: is made if it does not exist
    :param comparisons: of the frames, see `compared`
    :return: the text of the report
    """
    folder.mkdir(parents=True, exist_ok=True)
    groups = by_group(comparisons)
    if "all" in groups:  # which is also the name of the first row
        groups["group all"] = groups.pop("all")
    rows = {"all": comparisons, **(groups if len(groups) > 1 else {})}
    errors = {name: summary(some, mean_absolute=True) for name, some in rows.items()}
    lines = [
        f"{potential.name}, scope {potential.scope}, {potential.dtype}: {len(frames)} structures, "
        f"{sum(c.atoms for c in comparisons)} atoms",
        "",
        *_table(rows, errors),
        "",
        *_rotation(potential, frames),
        *_symmetrization(potential, frames, errors["all"].get("force_rmse_meV_per_angstrom")),
    ]
    text = "\n".join(lines)
    (folder / "report.txt").write_text(text + "\n", encoding="utf-8")
    _write_csv(folder / "errors.csv", rows, errors)
    if pictures.can_draw():
        pictures.draw_parity({potential.name: comparisons}, folder / "parity.png")
    return text


def _table(rows: dict[str, list[Comparison]], errors: dict[str, dict[str, float]]) -> list[str]:
    columns = [name for name in errors["all"] if "_rmse" in name or name.endswith("_spread")]
    width = max(len(heading(name)) for name in columns) + 2 if columns else 0
    lines = [
        "root-mean-square errors",
        f"{'group':24s}{'structures':>11s}" + "".join(f"{heading(c):>{width}s}" for c in columns),
    ]
    for name, some in list(rows.items())[: _MOST_GROUPS + 1]:
        numbers = "".join(
            f"{errors[name][c]:{width}.4g}" if c in errors[name] else f"{'-':>{width}s}"
            for c in columns
        )
        lines.append(f"{name[:23]:24s}{len(some):11d}{numbers}")
    if len(rows) > _MOST_GROUPS + 1:
        lines.append(f"... and {len(rows) - _MOST_GROUPS - 1} more groups in errors.csv")
    return lines


def _rotation(potential: Potential, frames: list[Frame]) -> list[str]:
    """Rotation errors of some structures, evenly chosen."""
    rotations = random_rotations(_ROTATIONS)
    energy, force = [], []
    some = thinned(frames, _ROTATED)
    for frame in some:
        result = in_orientations(potential, frame.system.to_atoms(), rotations)
        energy.append(1e3 * result.energy_error())
        force.append(1e3 * result.force_error())
    return [
        f"rotation error ({len(some)} structures, {_ROTATIONS} orientations each, "
        f"{potential.dtype}): energy {np.max(energy):.2e} meV/atom, forces "
        f"{np.max(force):.2e} meV/Å"
    ]


def _symmetrization(potential: Potential, frames: list[Frame], error: float | None) -> list[str]:
    """Symmetrization force of some structures, evenly chosen, and a warning where it is large.

    :param error: root-mean-square error of the forces, meV/angstrom; None: there are no labels
    """
    if potential.scope == "none":
        return []
    some = [frame.system.to_atoms() for frame in thinned(frames, _SYMMETRIZED)]
    found = SymmetrizationForce.of(potential, some, None if error is None else 1e-3 * error)
    line = (
        f"symmetrization force ({len(some)} structures, {found.frames:.1f} frames per atom): "
        f"{1e3 * found.symmetrization:.4g} meV/Å, {100 * found.share:.1f} % of the plain forces"
    )
    if error is not None:
        line += f"; force error {error:.4g} meV/Å"
    sentence = found.warning()
    return [line] if sentence is None else [line, f"warning: {sentence}"]


def _write_csv(
    path: Path, rows: dict[str, list[Comparison]], errors: dict[str, dict[str, float]]
) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["group", "structures", *errors["all"]])
        writer.writeheader()
        for name, some in rows.items():
            writer.writerow({"group": name, "structures": len(some), **errors[name]})
