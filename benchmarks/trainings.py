"""Collect finished trainings: their options, frames per atom, and errors on validation structures.

python benchmarks/trainings.py NAME TRAINING ... --data-folder FOLDER [--trained-on TEXT]

TRAINING is a folder with options.yaml and log.csv, as `ablation.py` makes them. What the last row
of each log says is printed as a table and written to results/trainings_NAME.json, with the frames
per atom that its constants leave in validation structures. This tells which constants and which
ways of training pay after the same time.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import torch
import yaml
from results_file import write_results

from pet_driver.model import PET
from pet_driver.training import TrainingOptions, frame_drawing, read_options
from pet_driver.training.batches import Batches
from pet_driver.training.data import Frame, read_split, species_of, thinned
from pet_driver.training.scales import Scales
from pet_driver.training.start import hyperparameters, property_ranks

WAY = ("random_turns", "symmetrization_weight", "sampled_share", "frames_drawn", "batch_size")
COLUMNS = ("steps", "epochs", "frames per atom", "energy", "force", "symmetrization force")
_STRUCTURES = 4  # in which frames are counted


def main() -> None:
    """Read all logs, print the table and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name")
    parser.add_argument("trainings", nargs="+", type=Path, metavar="TRAINING")
    parser.add_argument("--data-folder", type=Path, required=True)
    parser.add_argument("--trained-on", help="hardware and what else ran on it, in words")
    chosen = parser.parse_args()
    print("| training |", " | ".join(COLUMNS), "|")
    print("|---|" + "---|" * len(COLUMNS))
    found = {}
    first = read_options(chosen.trainings[0] / "options.yaml")
    split = read_split(chosen.data_folder, first.data, property_ranks(first, None))
    structures = thinned(split.validation, _STRUCTURES)
    for folder in chosen.trainings:
        options = read_options(folder / "options.yaml")
        if options.data != first.data:
            parser.error(f"{folder} has other data than {chosen.trainings[0]}; collect it apart")
        row = last_row(folder / "log.csv")
        numbers = measured(options, row, structures)
        print(f"| {folder.name} |", " | ".join(f"{x:.3g}" for x in numbers.values()), "|")
        found[folder.name] = {
            **{name: round(x, 4) for name, x in numbers.items()},
            "way": stated(folder / "options.yaml"),
            "frames": options.model.get("frames", "speed"),
            "log": row,
        }
    results = {"trained on": chosen.trained_on, "trainings": found}
    print(f"wrote {write_results(f'trainings_{chosen.name}', results)}")


def stated(path: Path) -> dict[str, Any]:
    """What an options file says of the way of training; the rest was the default of its day."""
    fit = yaml.safe_load(path.read_text()).get("fit", {})
    return {name: fit[name] for name in WAY if name in fit}


def last_row(path: Path) -> dict[str, float]:
    """Numbers of the last row of a log, by column."""
    with path.open(newline="") as file:
        *_, last = csv.DictReader(file)
    return {name: float(value) for name, value in last.items() if value}


def measured(
    options: TrainingOptions, row: dict[str, float], structures: list[Frame]
) -> dict[str, float]:
    """Steps, epochs, frames per atom, and errors: meV/atom and meV/angstrom."""
    return {
        "steps": row["step"],
        "epochs": row["epoch"],
        "frames per atom": frames_per_atom(options, structures),
        "energy": row["energy_rmse_meV_per_atom"],
        "force": row["force_rmse_meV_per_angstrom"],
        "symmetrization force": row["symmetrization_rms_meV_per_angstrom"],
    }


def frames_per_atom(options: TrainingOptions, frames: list[Frame]) -> float:
    """Frames per atom that the constants leave; they do not depend on weights of the network."""
    hyper = hyperparameters(options, None, species_of(frames))
    scales = Scales([0.0] * len(hyper.species), 1.0, {}, {})
    batches = Batches(hyper, scales, torch.device("cpu"))
    return frame_drawing.frames_per_atom(PET(hyper), batches, frames)


if __name__ == "__main__":
    main()
