"""A page for each file of benchmarks/results, with tables and plots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import figures

from . import plots, tables
from .values import shown
from .writing import Writer, code, plain, table

T = TypeVar("T")

# Title and command of each file; files that are not named here get a page all the same.
_ABOUT = {
    "ecse_cost": ("What exactness costs", "python benchmarks/ecse.py cost"),
    "ecse_frames": ("Making frames", "python benchmarks/ecse.py frames"),
    "ecse_scaling": ("Time by number of atoms", "python benchmarks/ecse.py scaling"),
    "ecse_memory": ("Memory of exactness", "python benchmarks/ecse.py memory"),
    "ecse_rotations": ("How exact the symmetry is", "python benchmarks/exactness.py rotations"),
    "ecse_size": ("Size consistency", "python benchmarks/exactness.py size"),
    "versions": ("This version beside an earlier one", "python benchmarks/versions.py OLD"),
    "gpu": ("A GPU", "make gpu"),
    "gpu_first": ("A GPU: the version before", "make gpu"),
    "gpu_counts": ("Kernels, waits and uploads of a step", "python benchmarks/gpu/counts.py after"),
    "tf32": ("TF32", "python benchmarks/tf32.py"),
    "silicon": ("Silicon: lattice and elastic constants", "python benchmarks/silicon.py"),
    "silicon_npt": ("Silicon at constant pressure", "python benchmarks/silicon.py"),
    "conservation_silicon": (
        "Energy conservation: silicon",
        "python benchmarks/conservation.py silicon",
    ),
    "conservation_water": (
        "Energy conservation: water",
        "python benchmarks/conservation.py water",
    ),
    "recorded_speeds": (
        "Speeds that `pet-driver doctor` compares with",
        "python benchmarks/recorded_speeds.py",
    ),
    "symmetrization_silicon": (
        "What frames do to forces: silicon",
        "python benchmarks/symmetrization.py pet_driver/models/silicon.yaml",
    ),
    "symmetrization_silicon_shipped": (
        "What frames do to forces: the shipped silicon",
        "python benchmarks/symmetrization.py pet_driver/models/silicon.yaml --part validation "
        "--models silicon",
    ),
    "symmetrization_water_shipped": (
        "What frames do to forces: the shipped water",
        "python benchmarks/symmetrization.py pet_driver/models/water.yaml --part validation "
        "--most 30 --models water",
    ),
    "symmetrize_water_plain": (
        "Exact symmetry without labels: water_plain",
        "python benchmarks/symmetrize.py water_plain STRUCTURES --name water_plain",
    ),
    "metatrain_teachers": (
        "Plain models for symmetrization",
        "python benchmarks/metatrain_teacher.py default|xs|deep DATA --mtt PROGRAM",
    ),
    "symmetrize_metatrain_default": (
        "Exact symmetry without labels: metatrain's default shape",
        "python benchmarks/symmetrize.py MODEL STRUCTURES --name metatrain_default",
    ),
    "symmetrize_metatrain_xs": (
        "Exact symmetry without labels: the shape of uPET XS",
        "python benchmarks/symmetrize.py MODEL STRUCTURES --name metatrain_xs",
    ),
    "symmetrize_metatrain_deep": (
        "Exact symmetry without labels: three layers",
        "python benchmarks/symmetrize.py MODEL STRUCTURES --name metatrain_deep",
    ),
    "symmetrize_converted_silicon": (
        "Exact symmetry without labels: a converted model of silicon",
        "python benchmarks/symmetrize.py MODEL STRUCTURES --name converted_silicon",
    ),
    "tuning_recipes": (
        "Ways of tuning a symmetrized model",
        "python benchmarks/tuning_recipes.py MODEL STRUCTURES --name NAME",
    ),
    "symmetrized_dynamics_water_plain": (
        "Dynamics with a symmetrized model: water",
        "python benchmarks/symmetrized_dynamics.py water MODEL --name water_plain",
    ),
    "symmetrized_dynamics_metatrain_deep": (
        "Dynamics with a symmetrized model: silicon",
        "python benchmarks/symmetrized_dynamics.py silicon MODEL --name metatrain_deep --beside",
    ),
    "symmetrized_mts": (
        "What is left between a model and its exact form, as a slow force",
        "python benchmarks/symmetrized_mts.py PLAIN SYMMETRIZED",
    ),
    "training_profile": (
        "Where the time of a training step goes",
        "python benchmarks/training_profile.py OPTIONS DATA_FOLDER",
    ),
    "orientations": (
        "Sets of orientations",
        "python benchmarks/orientations.py MODEL STRUCTURE --name NAME",
    ),
    "trainings_ways_silicon": ("Three ways of training: silicon", "python benchmarks/trainings.py"),
    "trainings_ways_water": ("Two ways of training: water", "python benchmarks/trainings.py"),
    "trainings_drawing_silicon": (
        "One or two frames drawn, or all: silicon",
        "python benchmarks/trainings.py",
    ),
    "trainings_drawing_water": (
        "One frame drawn, or all: water",
        "python benchmarks/trainings.py",
    ),
    "trainings_drawing_dipeptides": (
        "One frame drawn, or all: dipeptides",
        "python benchmarks/trainings.py",
    ),
    "trainings_curve_silicon": (
        "Constants of the frames in training: silicon",
        "python benchmarks/trainings.py",
    ),
    "trainings_curve_water": (
        "Constants of the frames in training: water",
        "python benchmarks/trainings.py",
    ),
    "learning_curve_silicon": (
        "What limits a model of silicon",
        "python benchmarks/learning_curve.py",
    ),
    "learning_curve_water": ("What limits a model of water", "python benchmarks/learning_curve.py"),
    "paper": (
        "The experiments of the paper: plain and exact training",
        "python benchmarks/paper.py DATA_FOLDER --minutes 10",
    ),
    "structure": ("Structure of the code", "python benchmarks/structure.py"),
    "domains": ("Many ranks", "python benchmarks/domains.py"),
    "four_ways": ("Four ways to the same water", "python benchmarks/four_ways.py"),
    "ipi": ("i-PI: transports and beads", "python benchmarks/ipi_transports.py"),
    "ipi_dynamics": (
        "i-PI: multiple time stepping and path integrals",
        "python benchmarks/ipi_dynamics.py",
    ),
    "converted": (
        "Converted models beside other programs",
        "python benchmarks/converted.py plain --metatrain PYTHON --pet-kokkos PYTHON",
    ),
    "converted_plain": (
        "Converted models beside other programs",
        "python benchmarks/converted.py plain --metatrain PYTHON --pet-kokkos PYTHON",
    ),
    "converted_exact": (
        "What exactness costs a converted model",
        "python benchmarks/converted.py exact --metatrain PYTHON",
    ),
    "ablation": ("Frames, layers, optimizers", "python benchmarks/ablation.py"),
    "against_metatrain": (
        "Training compared with metatrain",
        "python benchmarks/against_metatrain.py DATA",
    ),
    "torch_sim": ("TorchSim: many boxes in one batch", "python benchmarks/torch_sim_batch.py"),
    "neutral_suite": ("A neutral test suite", "python benchmarks/neutral_suite.py"),
    "water_dynamics": ("Dynamics of water", "python benchmarks/water_dynamics.py"),
    "demo": ("The demonstration", "make demo"),
    "first_runs": (
        "First runs from the wheel alone",
        "python tests/release/run_from_wheel.py dist --record",
    ),
}


def make(writer: Writer) -> None:
    """Write the pages, and the part that lists them."""
    names = [path.stem for path in sorted(figures.RESULTS.glob("*.json"))]
    ordered = [name for name in _ABOUT if name in names]
    ordered += [name for name in names if name not in _ABOUT and name != "gpu_trial"]
    for name in ordered:
        writer.text(f"benchmarks/{name}.md", _page(name, writer))
    entries = [f"../generated/benchmarks/{name}" for name in ordered]
    writer.text("parts/benchmarks.md", ["```{toctree}", ":maxdepth: 1", "", *entries, "```"])


def _page(name: str, writer: Writer) -> list[str]:
    content = figures.read(name)
    title, command = _ABOUT.get(name) or _guessed(name)
    lines = [f"# {title}", "", *_origin(name, content, command)]
    path = writer.path(f"benchmarks/{name}.png") if name in plots.PLOTS else None
    if path is not None:
        alt = plots.draw(name, content, path)
        lines += [f"![{alt}]({name}.png)", ""]
    make_tables = by_beginning(tables.TABLES, name)
    if make_tables is not None:
        return [*lines, *make_tables(content)]
    kept = {k: v for k, v in content.items() if k not in ("date", "version", "hardware")}
    return [*lines, *generic(kept)]


def by_beginning(known: Mapping[str, T], name: str) -> T | None:
    """What belongs to the longest key that a name begins with."""
    found = [key for key in known if name.startswith(key)]
    return known[max(found, key=len)] if found else None


def _guessed(name: str) -> tuple[str, str]:
    """Title and command of a file that is not known: of the script that it is named after."""
    scripts = {path.stem: path.stem for path in figures.RESULTS.parent.glob("*.py")}
    title = name.replace("_", " ")
    return title[:1].upper() + title[
        1:
    ], f"python benchmarks/{by_beginning(scripts, name) or name}.py"


def _origin(name: str, content: dict[str, Any], command: str) -> list[str]:
    """When, where and by what the figures were measured."""
    hardware = content.get("hardware", {})
    dates = [content.get("date")] if "date" in content else []
    steps = content.get("steps")
    cards: list[str] = []
    if isinstance(steps, dict):
        environment = steps.get("environment", {}).get("rows", [])
        cards = [row["card"] for row in environment if "card" in row]
        dates += sorted({step["date"] for step in steps.values() if "date" in step})
    rows = [("command", code(command)), ("file", code(f"benchmarks/results/{name}.json"))]
    rows += [("date", ", ".join(map(str, dates)))] if dates else []
    rows += [("version", content["version"])] if "version" in content else []
    rows += [(key, plain(str(value))) for key, value in hardware.items() if key != "host"]
    rows += [("GPU", plain(card)) for card in cards]
    return table(("", ""), rows)


def generic(content: dict[str, Any], depth: int = 2) -> list[str]:
    """Tables of anything: numbers and texts first, then rows, then what is nested deeper."""
    simple = {k: v for k, v in content.items() if not isinstance(v, dict | list)}
    rows = [(plain(str(key)), shown(value)) for key, value in simple.items()]
    lines = table(("", ""), rows) if rows else []
    for key, value in content.items():
        if not value or key in simple:
            continue
        found = _as_rows(value)
        name = str(key).replace("_", " ")
        title = f"{'#' * min(depth, 4)} {plain(name[:1].upper() + name[1:])}"
        if found is not None:
            lines += [title, *tables.of_rows(found)]
        elif isinstance(value, dict):
            lines += [title, "", *generic(value, depth + 1)]
        else:
            lines += [title, "", *(f"- {shown(one)}" for one in value), ""]
    return lines


def _as_rows(value: Any) -> list[dict[str, Any]] | None:  # noqa: ANN401 (anything in a file)
    """Rows of a table, if a value is a list or a dictionary of such."""
    if isinstance(value, dict):
        if all(isinstance(one, dict) for one in value.values()):
            value = [{"": key, **one} for key, one in value.items()]
        elif all(not isinstance(one, dict | list) for one in value.values()):
            value = [value]
    if isinstance(value, list) and all(isinstance(one, dict) for one in value):
        flat = all(not isinstance(x, dict) for one in value for x in one.values())
        return value if flat else None
    return None
