"""Tables of the files of results that have a layout of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .training_tables import TRAINING_TABLES
from .values import number, shown
from .writing import plain, table

Content = Mapping[str, Any]


def of_rows(rows: Sequence[Content], left_out: tuple[str, ...] = ()) -> list[str]:
    """Table with a column for each key that occurs; numbers have three digits."""
    columns: list[str] = []
    for row in rows:
        columns += [key for key in row if key not in columns and key not in left_out]
    header = [plain(key.replace("_", " ")) for key in columns]
    return table(header, [[shown(row.get(key)) for key in columns] for row in rows])


def _ecse_cost(content: Content) -> list[str]:
    sets = ("speed", "accuracy", "paper")
    rows = []
    for name, found in content["structures"].items():
        cells = [number(found["plain_ms"])]
        for key in sets:
            cells += [
                f"{found['frames_per_atom'][key]:.1f}",
                f"{found['cost_over_plain'][key]:.1f}",
            ]
        rows.append((name, *cells, f"{found['full_box_evaluations_of_the_original']}"))
    header = ["structure", "plain, ms"]
    for key in sets:
        header += [f"`{key}`: frames per atom", "cost"]
    return [
        "Energy and forces in scope `layer`, float32, random weights, with each of the three",
        "named sets of frame constants; cost is the time divided by that of plain PET. The last",
        "column is the number of evaluations of the whole box that the original protocol needs.",
        *table((*header, "the original: full boxes"), rows),
        f"Threads: {content['threads']}. Atoms of crystals and of ethanol are displaced at random,",
        "except in perfect crystals, where all frames tie.",
    ]


def _versions(content: Content) -> list[str]:
    rows = []
    for name, found in content["cases"].items():
        low, high = found["wall_ratio_quartiles"]
        cells = [number(found["old_ms"]), number(found["new_ms"])]
        rows.append((name, *cells, f"{found['wall_ratio']:.2f}", f"{low:.2f} to {high:.2f}"))
    commits = content["commits"]
    return [
        f"Commit `{commits['new']}` (new) and commit `{commits['old']}` (old), in turns on the",
        "same machine, liquid water with the model `water`, float32.",
        *table(("case", "old, ms", "new, ms", "new / old", "quartiles"), rows),
    ]


def _gpu(content: Content) -> list[str]:
    steps = content["steps"]
    rows = [
        (step["title"], step["status"], f"{_passed(step)} of {len(step['rows'])} rows passed")
        for step in steps.values()
    ]
    lines = ["## Overview", *table(("step", "status", ""), rows)]
    lines += ["## Time of a step", "", *_gpu_times(steps["timing"]["rows"])]
    for name, step in steps.items():
        if name not in ("timing", "environment", "agreement"):
            lines += [f"## {plain(step['title'])}", "", *_gpu_step(step)]
    return lines


def _passed(step: Content) -> int:
    return sum(row["status"] == "passed" for row in step["rows"])


def _gpu_times(rows: Sequence[Content]) -> list[str]:
    """Milliseconds by number of atoms (rows), and model, scope and precision (columns)."""
    times: dict[int, dict[str, str]] = {}
    names: list[str] = []
    for row in rows:
        if "ms" in row:
            name = row["name"].rpartition(", ")[0]
            names += [name] if name not in names else []
            times.setdefault(row["atoms"], {})[name] = number(row["ms"])
    body = [[f"{n:,}", *(found.get(name, "") for name in names)] for n, found in times.items()]
    text = "Milliseconds per step of liquid water; `water`, and the shapes of uPET XS and S with"
    return [text, "random weights.", *table(("atoms", *names), body)]


def _gpu_step(step: Content) -> list[str]:
    """Rows of one step that have numbers; keys that few of them have are left out."""
    rows = [row for row in step["rows"] if row["status"] == "passed"]
    counts: dict[str, int] = {}
    for row in rows:
        for key, value in row.items():
            counts[key] = counts.get(key, 0) + (not isinstance(value, dict | list))
    few = tuple(key for key, count in counts.items() if count < max(2, 0.3 * len(rows)))
    return of_rows(rows, (*few, "status", "seconds", "sentence", "devices"))


# Of an H100 and its driver.
_BYTES_PER_SECOND, _SECONDS_PER_LAUNCH = 2.2e12, 5e-6


def _gpu_counts(content: Content) -> list[str]:
    after, before = content["versions"]["after"], content["versions"]["before"]
    keys = ("kernels", "waits", "uploads", "downloads")
    measures: dict[str, Callable[[Content], str]] = {
        **{key: lambda found, key=key: f"{found[key]}" for key in keys},
        "memory, GB": lambda found: number(found["bytes"] / 1e9),
        "by memory, ms": lambda found: number(1e3 * found["bytes"] / _BYTES_PER_SECOND),
        "by launches, ms": lambda found: number(1e3 * found["kernels"] * _SECONDS_PER_LAUNCH),
    }
    rows = []
    for name, found in after.items():
        old = before.get(name)
        bracket = [f" ({measure(old)})" if old else "" for measure in measures.values()]
        now = [measure(found) for measure in measures.values()]
        rows.append((name, *map("".join, zip(now, bracket, strict=True))))
    return [
        "Counted on the pretended GPU of the tests; in brackets the version before tables had",
        "fixed sizes. A model of the step on an H100, not a measurement: it takes at least the",
        f"time in which its kernels read and write memory, at {_BYTES_PER_SECOND / 1e12:g} TB/s,",
        "and, while kernels are not recorded, that of their launches, at",
        f"{1e6 * _SECONDS_PER_LAUNCH:g} microseconds each.",
        *table(("step of", *measures), rows),
    ]


def _symmetrization(content: Content) -> list[str]:
    keys = ("frames per atom", "symmetrization force", "force error", "error with frames fixed")
    lines = [
        f"{content['structures']} structures of the part `{content['part']}`; forces are",
        "root-mean-square components in meV/Å.",
    ]
    for name, model in content["models"].items():
        rows = [
            (plain(constants), *(number(found[key]) for key in keys))
            for constants, found in model["constants"].items()
        ]
        scatter = number(model["plain"]["scatter over orientations"])
        lines += ["", f"## {plain(name)}", ""]
        lines += [f"Steps of training: {model['card']['steps']}. Forces of plain PET change by"]
        lines += [f"{scatter} meV/Å from one orientation to another."]
        lines += table(("constants", *keys), rows)
    return lines


def _symmetrize(content: Content) -> list[str]:
    noise, before, after = content["noise_of_orientation"], content["before"], content["after"]
    keys = {
        "distance from the teacher, forces, meV/Å": "force_rmse_meV_per_angstrom",
        "distance from the teacher, energy, meV/atom": "energy_rmse_meV_per_atom",
        "symmetrization force, meV/Å": "symmetrization_meV_per_angstrom",
        "force error against labels, meV/Å": "labels_force_rmse_meV_per_angstrom",
    }
    rows = [(label, number(before[key]), number(after[key])) for label, key in keys.items()]
    noises = f"{number(noise['force_meV_per_angstrom'])} meV/Å in forces and "
    noises += f"{number(noise['energy_meV_per_atom'])} meV/atom in energies"
    return [
        f"Plain PET with the weights of `{content['plain_model']}` changes by {noises} from one",
        "orientation to another. Root-mean-square values over held-out structures:",
        *table(("", "untouched weights", "tuned"), rows),
        *table(
            ("frames per atom", "cost relative to plain PET", "cost of scope atom"),
            [
                [
                    number(content["frames_per_atom"]),
                    number(content["cost_relative_to_plain"]),
                    shown(content["cost_of_atom_relative_to_plain"]),
                ]
            ],
        ),
    ]


# By the beginning of the name of a file.
TABLES: dict[str, Callable[[Content], list[str]]] = {
    "ecse_cost": _ecse_cost,
    "versions": _versions,
    "gpu": _gpu,
    "gpu_counts": _gpu_counts,
    "symmetrization_": _symmetrization,
    "symmetrize_": _symmetrize,
    **TRAINING_TABLES,
}
