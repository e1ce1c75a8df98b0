"""Make plain models exactly symmetric without labels, and record what was reached.

python benchmarks/symmetrize.py MODEL STRUCTURES --name NAME [--minutes 20] [--sample 300K:2ps ...]
    [--learning-rate RATE] [--most 300] [--folder FOLDER]

MODEL is the name of a shipped model, a model file, or a checkpoint of metatrain, which is converted
first. STRUCTURES is a file that ASE reads; of more than --most structures as many are drawn at
random. Labels in it are compared with, never used. Prints the report and writes
results/symmetrize_NAME.json: noise of orientation, distance to the average over orientations before
and after, symmetrization force, errors against labels, frames per atom, cost.
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import replace
from pathlib import Path

import errors_in_words
import numpy as np
import torch
from results_file import write_results
from rich.console import Console

from pet_driver.cli.model_options import read_structures
from pet_driver.cli.symmetrize import reference_of
from pet_driver.distillation import SampleRun, SymmetrizeOptions, symmetrize
from pet_driver.distillation.tuning import LEARNING_RATE
from pet_driver.files.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from pet_driver.files.conversion import convert
from pet_driver.graph import System


def main() -> None:
    """Symmetrize one model and record the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("structures", type=Path)
    parser.add_argument("--name", required=True, help="of the file of results")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--sample", action="append", default=[])
    parser.add_argument("--learning-rate", type=float, default=LEARNING_RATE)
    parser.add_argument("--most", type=int, default=300)
    parser.add_argument("--folder", type=Path, default=Path("symmetrized"))
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    structures = read_structures(chosen.structures)
    drawn = np.random.default_rng(0).permutation(len(structures))[: chosen.most]
    structures = [structures[i] for i in sorted(drawn)]
    origin, started, lines = plain_model(chosen.model), time.monotonic(), []

    def say(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    runs = tuple(SampleRun.parse(words) for words in chosen.sample)
    options = SymmetrizeOptions(chosen.minutes, runs, learning_rate=chosen.learning_rate)
    model, report = symmetrize(
        origin,
        [System.from_atoms(atoms) for atoms in structures],
        chosen.folder / chosen.name,
        options,
        [reference_of(atoms) for atoms in structures],
        say=say,
    )
    save_checkpoint(model, chosen.folder / f"{chosen.name}.safetensors")
    report.draw(
        chosen.folder / f"{chosen.name}.png", chosen.folder / chosen.name / "tuning" / "log.csv"
    )
    Console(width=100).print(report.table())
    print("\n".join(report.sentences()))
    results = {
        "model": origin.name,
        "minutes": chosen.minutes,
        "minutes_of_the_last_run": round((time.monotonic() - started) / 60.0, 1),
        "sample": chosen.sample,
        "learning_rate": options.learning_rate,
        "threads": torch.get_num_threads(),
        "lines": lines,
        **report.card()["symmetrized"],
    }
    print(f"wrote {write_results(f'symmetrize_{chosen.name}', results)}")


def plain_model(name: str) -> Checkpoint:
    """A model file, or a converted checkpoint, whose digest is that of the file."""
    if Path(name).suffix != ".ckpt":
        return load_checkpoint(name)
    converted = convert(Path(name))
    return replace(converted, digest=converted.card["converted_from"]["sha256"])


if __name__ == "__main__":
    errors_in_words.run(main)
