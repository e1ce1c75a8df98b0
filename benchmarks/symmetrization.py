"""Measure errors and symmetrization forces against the number of frames: one model, many constants.

python benchmarks/symmetrization.py OPTIONS --data-folder FOLDER [--models NAME|FILE ...]
    [--part validation] [--most 20] [--name NAME]

OPTIONS is the options file of a training; its split says which structures are held out. Each model
(default: the one that the options made) is evaluated with its own constants, the paper's, those
that are named, and others between them, in scope layer; without training in between. Prints a
table and writes results/symmetrization_NAME.json (default: the name in the options).
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from results_file import write_results

from pet_driver.evaluation.potential import Potential
from pet_driver.evaluation.rotation_error import random_rotations, rotated
from pet_driver.evaluation.symmetrization import root_mean_square
from pet_driver.files.checkpoint import Checkpoint, load_checkpoint
from pet_driver.frames import NAMED_CONSTANTS, FrameConstants
from pet_driver.runtime.progress import Progress
from pet_driver.training import read_options
from pet_driver.training.data import Frame, read_split, thinned

COLUMNS = ("frames per atom", "symmetrization force", "force error", "error with frames fixed")
_ORIENTATIONS = 3


def main() -> None:
    """Measure all models and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("options", type=Path)
    parser.add_argument("--data-folder", type=Path, required=True)
    parser.add_argument("--models", nargs="+", metavar="MODEL")
    parser.add_argument("--part", choices=("validation", "test"), default="test")
    parser.add_argument("--most", type=int, default=20, help="structures, evenly chosen")
    parser.add_argument("--name", help="of the file of results")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    options = read_options(chosen.options)
    split = read_split(chosen.data_folder, options.data, dict(options.model.get("properties", {})))
    frames = thinned(getattr(split, chosen.part), chosen.most)
    found = {}
    for name in chosen.models or [options.name]:
        checkpoint = load_checkpoint(name)
        found[name] = {
            "card": {key: checkpoint.card.get(key) for key in ("steps", "epochs", "hours")},
            "plain": plain_noise(checkpoint, frames),
            "constants": measure(name, checkpoint, frames),
        }
    results = {"part": chosen.part, "structures": len(frames), "models": found}
    print(f"wrote {write_results(f'symmetrization_{chosen.name or options.name}', results)}")


def constants_of(checkpoint: Checkpoint) -> dict[str, FrameConstants]:
    """Constants by name, from few frames to many."""
    accuracy = NAMED_CONSTANTS["accuracy"]
    between = {
        f"contrast {length} A, pruning {start} to {end}": replace(
            accuracy,
            contrast=(length, length),
            pruning_fraction=start,
            pruning_width=round(end - start, 12),
        )
        for length, start, end in [(0.02, 0.3, 0.6), (0.06, 0.2, 0.6), (0.2, 0.2, 0.6)]
    }
    gentle = replace(accuracy, contrast=None, pruning_fraction=0.5, pruning_width=0.5)
    return {
        "own": checkpoint.hyper.frames,
        **NAMED_CONSTANTS,
        **between,
        "no contrast, pruning 0.5 to 1": gentle,
    }


def measure(
    model: str, checkpoint: Checkpoint, frames: Sequence[Frame]
) -> dict[str, dict[str, float | dict[str, object]]]:
    """Errors and symmetrization forces for all constants, meV/angstrom, root-mean-square."""
    structures = [frame.system.to_atoms() for frame in frames]
    labels = [frame.labels.forces for frame in frames]
    found: dict[str, dict[str, float | dict[str, object]]] = {}
    print(f"\n{model}, {len(frames)} structures, meV/A\n\n| constants |", " | ".join(COLUMNS), "|")
    print("|---|" + "---|" * len(COLUMNS))
    sets = constants_of(checkpoint)
    with Progress(model, len(sets)) as progress:
        for name, constants in sets.items():
            changed = replace(checkpoint, hyper=replace(checkpoint.hyper, frames=constants))
            potential = Potential(changed, scope="layer")
            forces = [p.forces for p in potential.compute(structures)]
            through = potential.symmetrization_forces(structures)
            errors = [f - x for f, x in zip(forces, labels, strict=True) if x is not None]
            fixed = [
                f - s - x for f, s, x in zip(forces, through, labels, strict=True) if x is not None
            ]
            numbers = (
                potential.frames(structures).counts().double().mean().item(),
                *(1e3 * root_mean_square(*x) for x in (through, errors, fixed)),
            )
            found[name] = dict(zip(COLUMNS, numbers, strict=True))
            found[name]["constants"] = constants.to_dict()
            print(f"| {name} |", " | ".join(f"{x:.3g}" for x in numbers), "|", flush=True)
            progress.advance(name)
    return found


def plain_noise(checkpoint: Checkpoint, frames: Sequence[Frame]) -> dict[str, float]:
    """Forces of plain PET and their scatter over orientations, meV/angstrom, root-mean-square."""
    potential = Potential(checkpoint, scope="none")
    scatter, forces = [], []
    for frame in frames[:5]:
        atoms = frame.system.to_atoms()
        turned = [
            potential.compute(rotated(atoms, r)).forces @ r
            for r in random_rotations(_ORIENTATIONS, seed=3)
        ]
        scatter.append(np.std(turned, axis=0, ddof=1))
        forces.append(np.mean(turned, axis=0))
    return {
        "force": 1e3 * root_mean_square(*forces),
        "scatter over orientations": 1e3 * root_mean_square(*scatter),
    }


if __name__ == "__main__":
    main()
