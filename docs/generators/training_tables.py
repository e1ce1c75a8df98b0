"""Tables of results of trainings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from .values import number, shown
from .writing import plain, table

Content = Mapping[str, Any]


def _trainings(content: Content) -> list[str]:
    keys = ("steps", "epochs", "frames per atom", "energy", "force", "symmetrization force")
    rows = [
        (f"`{name}`", *(number(found[key]) for key in keys))
        for name, found in content["trainings"].items()
    ]
    return [
        f"Trained on {plain(content['trained on'])}. Errors on the validation structures:",
        "energy in meV/atom, forces in meV/Å.",
        *table(("training", *keys), rows),
    ]


def _learning_curve(content: Content) -> list[str]:
    force, energy = "force_rmse_meV_per_angstrom", "energy_rmse_meV_per_atom"
    rows = []
    for row in content["trainings"]:
        seen, held_out = row["errors"]["training"], row["errors"]["test"]
        errors = (number(x) for x in (seen[force], held_out[force], held_out[energy]))
        rows.append((shown(row["structures"]), shown(row["minutes"]), shown(row["steps"]), *errors))
    header = ("training structures", "minutes", "steps", "forces, seen", "forces", "energies")
    return [
        "Root-mean-square errors of forces (meV/Å) and energies (meV/atom) on structures that no",
        "training saw, and of forces on some that it was trained on (seen).",
        *table(header, rows),
    ]


# Errors of the experiments of the paper, with the words of their columns.
_PAPER_ERRORS = {
    "force_rmse_meV_per_angstrom": "forces, meV/Å",
    "energy_rmse_meV_per_atom": "energies, meV/atom",
    "dipole_rmse": "dipoles, e·Å",
}


def _paper(content: Content) -> list[str]:
    rows = []
    for name, experiment in content["experiments"].items():
        for kind, label in _PAPER_ERRORS.items():
            plain_errors, exact_errors = (
                [
                    training["errors"][kind]
                    for training in experiment["trainings"]
                    if training["scope"] == scope and kind in training["errors"]
                ]
                for scope in ("plain", "exact")
            )
            if plain_errors and exact_errors:
                ratio = fmean(exact_errors) / fmean(plain_errors)
                errors = (_with_spread(plain_errors), _with_spread(exact_errors))
                averaged = _same_weights(experiment["trainings"], kind)
                rows.append((plain(name), label, *errors, f"{ratio:.2f}", averaged))
    minutes = sorted(
        {x["minutes"] for e in content["experiments"].values() for x in e["trainings"]}
    )
    told = ", ".join(f"{name} {x:.2f}" for name, x in content["ratios of the paper"].items())
    return [
        "Root-mean-square errors on structures that no training saw, after",
        f"{shown(minutes)} minutes on one core each, plain (rotated at random) and exact (scope",
        "`layer`) with the same options; with the standard deviation over seeds where there are",
        "several. Last column: errors of the plain model's weights, not trained further, averaged",
        "over frames as in the paper (scope `structure`), over those without the average, on some",
        f"of these structures. Ratios of force errors in arXiv 2305.19302: {told}.",
        *table(
            ("experiment", "error of", "plain", "exact", "exact over plain", "averaged over plain"),
            rows,
        ),
    ]


def _same_weights(trainings: Sequence[Content], kind: str) -> str:
    """Mean ratio of errors with and without the average, of the same weights."""
    errors = [row["same weights"]["errors"] for row in trainings if "same weights" in row]
    ratios = [x["averaged"][kind] / x["plain"][kind] for x in errors if kind in x["plain"]]
    return f"{fmean(ratios):.2f}" if ratios else ""


def _with_spread(errors: Sequence[float]) -> str:
    spread = f" ± {number(stdev(errors))}" if len(errors) > 1 else ""
    return number(fmean(errors)) + spread


# By the beginning of the name of a file.
TRAINING_TABLES: dict[str, Callable[[Content], list[str]]] = {
    "trainings_": _trainings,
    "paper": _paper,
    "learning_curve_": _learning_curve,
}
