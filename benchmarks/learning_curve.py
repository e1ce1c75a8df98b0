"""What limits a model: its errors after training on parts of the data, and after half the time.

python benchmarks/learning_curve.py OPTIONS.yaml --data-folder FOLDER --minutes 30
    [--parts 0.25 0.5 1] [--threads 1] [--device cpu] [--output FOLDER]

Trains with the options of a model from the start, each time on some part of its training structures
(evenly chosen), for the same time; and once more on all of them for half that time. Held-out
structures are always the same. Errors that fall with more structures are limited by the data, those
that fall with time by the training. Errors that are the same on structures trained on and held out
are limited by the network or by its training. A training that the output folder holds is not
repeated. Prints a table and writes results/learning_curve_NAME.json.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import torch
from results_file import write_results

from pet_driver.files.checkpoint import load_checkpoint
from pet_driver.training import Training, TrainingOptions, Workers, read_options
from pet_driver.training.data import Split, read_split, thinned
from pet_driver.training.start import property_ranks

FORCE, ENERGY = "force_rmse_meV_per_angstrom", "energy_rmse_meV_per_atom"


def main() -> None:
    """Train what is missing, print the table and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("options", type=Path)
    parser.add_argument("--data-folder", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--parts", type=float, nargs="+", default=[0.25, 0.5, 1.0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, default=Path("learning_curve"))
    chosen = parser.parse_args()
    if not all(0.0 < part <= 1.0 for part in chosen.parts):
        parser.error(f"--parts are {chosen.parts}; give numbers above 0, at most 1")
    torch.set_num_threads(chosen.threads)
    options = read_options(chosen.options)
    split = read_split(chosen.data_folder, options.data, property_ranks(options, None))
    rows = []
    print("| training structures | minutes | force, trained on | held out | energy, held out |")
    print("|---|---|---|---|---|")
    for part, minutes in [*((x, chosen.minutes) for x in chosen.parts), (1.0, chosen.minutes / 2)]:
        count = max(round(part * len(split.training)), 1)
        some = dataclasses.replace(split, training=thinned(split.training, count))
        card = train(timed(options, minutes), some, minutes, chosen)
        told = {key: card[key] for key in ("steps", "epochs", "errors")}
        rows.append({"structures": len(some.training), "minutes": minutes, **told})
        print("|", " | ".join(f"{x:.4g}" for x in shown(rows[-1])), "|", flush=True)
    content = {"threads": chosen.threads, "device": chosen.device, "trainings": rows}
    print(f"wrote {write_results(f'learning_curve_{options.name}', content)}")


def timed(options: TrainingOptions, minutes: float) -> TrainingOptions:
    """The options with a schedule that ends after some time, from random weights."""
    fit = dataclasses.replace(
        options.fit,
        schedule="time",
        max_time=60.0 * minutes,
        steps=10**9,
        start_from=None,  # weights that know all structures already
    )
    return dataclasses.replace(options, fit=fit)


def train(
    options: TrainingOptions, split: Split, minutes: float, chosen: argparse.Namespace
) -> dict[str, Any]:
    """Train, unless the output folder holds the model already; the card of the model."""
    folder = chosen.output / f"{options.name}_{len(split.training)}_{minutes:g}_minutes"
    path = folder / f"{options.name}.safetensors"
    if not path.exists():
        workers = Workers(chosen.device, alone=True)
        training = Training(options, chosen.data_folder, folder, workers=workers, split=split)
        training.resume()
        training.run()
    return dict(load_checkpoint(path).card)


def shown(row: dict[str, Any]) -> list[float]:
    """Numbers of a row of the table."""
    seen, held_out = row["errors"]["training"], row["errors"]["test"]
    return [row["structures"], row["minutes"], seen[FORCE], held_out[FORCE], held_out[ENERGY]]


if __name__ == "__main__":
    main()
