"""Picture of README.md: python docs/pictures/exactness.py writes exactness.png.

Left: energy of 64 water molecules against the angle by which their box is turned, with the weights
of the model `water`, plain and exact. Right: milliseconds per step from benchmarks/results. A test
compares what the picture was drawn from, which is noted in the file, with what is there.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from ase.io.lammpsdata import read_lammps_data
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from style import BLUE, ORANGE

from pet_driver import load_model
from pet_driver.evaluation.rotation_error import rotated
from pet_driver.files.checkpoint import load_checkpoint

ROOT = Path(__file__).resolve().parents[2]
LABELS = {"none": ("plain PET", ORANGE), "layer": ("exact", BLUE)}


def main() -> None:
    """Draw both panels."""
    figure = Figure(figsize=(8.4, 3.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    _energies(left)
    _times(right)
    path = Path(__file__).with_suffix(".png")
    figure.savefig(path, dpi=110, metadata={"Description": source()})
    print(f"wrote {path}")


def source() -> str:
    """What the picture shows: the hash of the model, and of the times."""
    card, times = measured()
    hashed = hashlib.sha256(json.dumps([card, times]).encode()).hexdigest()
    return f"model {load_checkpoint('water').digest}, times {hashed}"


def measured() -> tuple[str, dict[str, list[tuple[int, float]]]]:
    """The card, and numbers of atoms with milliseconds per step by scope."""
    steps = json.loads((ROOT / "benchmarks" / "results" / "gpu.json").read_text())["steps"]
    card = next(row["card"] for row in steps["environment"]["rows"] if "card" in row)
    rows = [row for row in steps["timing"]["rows"] if "ms" in row]
    return card, {
        scope: [
            (row["atoms"], row["ms"])
            for row in rows
            if row["name"].startswith(f"water, {scope}, float32,")
        ]
        for scope in LABELS
    }


def _energies(axis: Axes) -> None:
    data = ROOT / "lammps_examples" / "water_nvt" / "water.data"
    atoms = read_lammps_data(data, units="metal", atom_style="atomic")
    angles = np.arange(0.0, 361.0, 7.5)
    for scope, (label, color) in LABELS.items():
        potential = load_model("water", dtype="float64", scope=scope)
        turned = [potential.compute(rotated(atoms, _about_axis(x))).energy for x in angles]
        change = 1e3 * (np.array(turned) - np.mean(turned)) / len(atoms)
        axis.plot(angles, change, color=color, label=label)
    axis.set(xlabel="angle of the box, degrees", ylabel="change of energy, meV/atom")
    axis.set_xticks(range(0, 361, 90))
    axis.legend(fontsize=8)


def _about_axis(degrees: float) -> np.ndarray:
    """Rotation about a direction that is no axis of the box."""
    axis, angle = np.array([1.0, 2.0, 3.0]) / 14**0.5, np.radians(degrees)
    cross = np.cross(np.eye(3), axis)
    return np.eye(3) - np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross


def _times(axis: Axes) -> None:
    card, times = measured()
    for scope, (label, color) in LABELS.items():
        axis.plot(*zip(*times[scope], strict=True), "o-", ms=4, color=color, label=label)
    axis.set(xscale="log", yscale="log", xlabel="atoms", ylabel="ms per evaluation", title=card)
    axis.legend(fontsize=8)


if __name__ == "__main__":
    main()
