"""Compare ways of tuning a plain model to its average over orientations, for equal times.

python benchmarks/tuning_recipes.py MODEL STRUCTURES --name NAME [--minutes 5] [--most 90]
    [--recipes NAME ...]

MODEL is as in benchmarks/symmetrize.py. The same labels are used by all recipes, which begin with
the same weights. The distance from the teacher on held-out structures that each reaches is printed
and added to results/tuning_recipes.json, with the symmetrization force and the number of steps.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
import warnings
from pathlib import Path

import errors_in_words
import numpy as np
import torch
from ase import Atoms
from results_file import RESULTS, write_results
from symmetrize import plain_model

from pet_driver.cli.model_options import read_structures
from pet_driver.distillation.student import Student
from pet_driver.distillation.teacher import FEWEST_GROUPS, Teacher
from pet_driver.distillation.tuning import (
    LEARNING_RATE,
    Scores,
    Tuning,
    TuningOptions,
    labelled_frame,
)
from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import Checkpoint
from pet_driver.frames import NAMED_CONSTANTS
from pet_driver.graph import System
from pet_driver.runtime.progress import Progress
from pet_driver.training.accuracy import SYMMETRIZATION
from pet_driver.training.data import Frame
from pet_driver.training.log import read_log

ADAMW = {"optimizer": "adamw"}
# What each changes of the recipe of `pet-driver symmetrize`.
RECIPES: dict[str, dict[str, object]] = {
    "as it is": {},
    "half the rate": {"learning_rate": 0.5 * LEARNING_RATE},
    "twice the rate": {"learning_rate": 2.0 * LEARNING_RATE},
    "200 atoms a step": {"batch_atoms": 200},
    "all frames throughout": {"sampled_share": 0.0},
    "frames drawn in 35 %": {"sampled_share": 0.35},
    "frames drawn in 85 %": {"sampled_share": 0.85},
    "drawn frames turned at random": {"random_turns": True},
    "stresses count from the start": {"stress_weight": 1.0, "stress_ramp": 0.0},
    "no energies of atoms": {"atom_energy_weight": 0.0},
    "AdamW": ADAMW,
    "AdamW, beta2 0.999": {**ADAMW, "adamw_beta2": 0.999},
    "no penalties": {
        "energy_variance_weight": 0.0,
        "message_variance_weight": 0.0,
        "symmetrization_weight": 0.0,
    },
}
FRAMES = "accuracy"
HELD_OUT = 1 / 6


def main() -> None:
    """Label, tune by each recipe, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("structures", type=Path)
    parser.add_argument("--name", required=True, help="of the model in the file of results")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--most", type=int, default=90)
    parser.add_argument("--recipes", nargs="+", choices=tuple(RECIPES), default=list(RECIPES))
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    origin = plain_model(chosen.model)
    student = Student.of(origin).model
    hyper = dataclasses.replace(student.hyper, frames=NAMED_CONSTANTS[FRAMES])
    student = dataclasses.replace(student, hyper=hyper)
    structures = read_structures(chosen.structures)
    drawn = np.random.default_rng(0).permutation(len(structures))[: chosen.most]
    frames = labelled(Potential(origin, scope="none"), [structures[i] for i in drawn])
    held = max(round(HELD_OUT * len(frames)), 1)
    for name in chosen.recipes:
        options = TuningOptions(60.0 * chosen.minutes, changes=RECIPES[name])
        found = tuned(student, frames[held:], frames[:held], options)
        print(name, found, flush=True)
        record(chosen.name, name, {"minutes": chosen.minutes, **found})


def record(model: str, recipe: str, row: dict[str, float]) -> None:
    """Add one tuning to the results, which another model's run may have changed meanwhile."""
    path = RESULTS / "tuning_recipes.json"
    known = json.loads(path.read_text())["models"] if path.exists() else {}
    known.setdefault(model, {})[recipe] = row
    write_results("tuning_recipes", {"threads": torch.get_num_threads(), "models": known})


def labelled(plain: Potential, structures: list[Atoms]) -> list[Frame]:
    """The average over orientations of each structure."""
    teacher = Teacher(plain, FEWEST_GROUPS)
    frames = []
    with Progress("labelling structures", len(structures)) as progress:
        for k, atoms in enumerate(structures):
            system = System.from_atoms(atoms)
            frames.append(labelled_frame(system, teacher.label(system, k), k))
            progress.advance()
    return frames


def tuned(
    student: Checkpoint, training: list[Frame], validation: list[Frame], options: TuningOptions
) -> dict[str, float]:
    """Tune; how far the last weights are from the teacher on the validation structures."""
    with tempfile.TemporaryDirectory() as folder:
        tuning = Tuning(student, training, validation, (), options, Path(folder))
        tuning.run(Scores(np.inf, np.inf, np.inf, np.inf))
        last = read_log(Path(folder) / "log.csv")[-1]
    return {
        "steps": last["step"],
        "distance before, meV/angstrom": 1e3 * tuning.untouched.forces,
        "distance after, meV/angstrom": last["force_rmse_meV_per_angstrom"],
        "energy after, meV/atom": last["energy_rmse_meV_per_atom"],
        "symmetrization force after, meV/angstrom": last[SYMMETRIZATION],
    }


if __name__ == "__main__":
    errors_in_words.run(main)
