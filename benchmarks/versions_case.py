"""Time the steps of one case with the pet_driver that PYTHONPATH names; see benchmarks/versions.py.

python benchmarks/versions_case.py evaluation|label|training FOLDER --checkout CHECKOUT --model FILE

Makes one step for each line of its standard input and prints the seconds and the CPU seconds that
the step took, so that two processes can take turns. Uses only names that all versions have.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

import ase
import ase.io
import numpy as np
import torch
from taking_turns import Turns
from torch.optim.optimizer import register_optimizer_step_post_hook

N_LABELLED = 6
OPTIONS = """
name: versions
data: {{file: labelled.xyz, validation: 1, test: 1, seed: 0}}
model: {{scope: layer}}
fit:
  start_from: {model}
  baseline: keep
  steps: 1000000
  batch_size: 2
  optimizer: muon
  learning_rate: 1.0e-4
  energy_spread_weight: 100.0
  message_spread_weight: 0.1
  sampled_share: {sampled_share}
  frames_drawn: 1
  validate_every: 1000000
"""


def main() -> None:
    """Run the case in a process that has loaded the right package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=("evaluation", "label", "training"))
    parser.add_argument("folder", type=Path, help="with the structures")
    parser.add_argument("--checkout", type=Path, required=True, help="where pet_driver must be")
    parser.add_argument("--model", required=True, help="file that both versions read")
    parser.add_argument("--structure", default="192.xyz")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--all-frames", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    check_origin(options.checkout)
    if options.case == "label":
        label(options.folder, options.model)
    elif options.case == "training":
        time_training(options.folder, options.model, options.all_frames)
    else:
        time_evaluation(options.folder / options.structure, options.model)


def check_origin(checkout: Path) -> None:
    """Make sure that the package comes from the given checkout and not from an installed one."""
    import pet_driver

    found = Path(pet_driver.__file__).resolve()
    if checkout.resolve() not in found.parents:
        sys.exit(f"pet_driver was imported from {found}, not from {checkout}")


def read_box(path: Path) -> ase.Atoms:
    """Read the one structure of a file."""
    return next(iter(ase.io.iread(path)))


def time_evaluation(path: Path, model: str) -> None:
    """Energy, forces and virial of slightly different structures, as in dynamics."""
    from pet_driver import load_model

    potential = load_model(model, dtype="float32", scope="layer")
    atoms, rng, turns = read_box(path), np.random.default_rng(0), Turns()
    while True:
        atoms.positions += rng.normal(scale=0.002, size=atoms.positions.shape)
        turns.next()
        (prediction,) = potential.compute([atoms])
        if not np.isfinite(prediction.forces).all() or not np.isfinite(prediction.virial).all():
            sys.exit("forces or virial are not finite")


def label(folder: Path, model: str) -> None:
    """Write ``labelled.xyz``: rattled boxes with energies and forces of the model."""
    from pet_driver import load_model

    potential = load_model(model, dtype="float32")
    frames = []
    for seed in range(N_LABELLED):
        atoms = read_box(folder / "192.xyz")
        atoms.rattle(0.03, seed=seed)  # type: ignore[no-untyped-call]  # of ASE
        (prediction,) = potential.compute([atoms])
        atoms.info["energy"], atoms.arrays["forces"] = prediction.energy, prediction.forces
        frames.append(atoms)
    ase.io.write(folder / "labelled.xyz", frames, format="extxyz")


def time_training(folder: Path, model: str, all_frames: bool) -> None:
    """Train on the labelled boxes; a step ends when torch's hook reports the optimizer's step."""
    from pet_driver.training import Training, read_options

    turns, seen = Turns(), []

    def end_step(optimizer: torch.optim.Optimizer, *_: object) -> None:
        # Several optimizers may share the weights; each makes one step after every batch.
        seen.append(id(optimizer))
        if seen[-1] == seen[0]:
            turns.next()

    with tempfile.TemporaryDirectory() as output:
        path = Path(output) / "options.yaml"
        share = 0.0 if all_frames else 1.0
        path.write_text(OPTIONS.format(model=model, sampled_share=share))
        training = Training(read_options(path), folder, Path(output) / "run")
        register_optimizer_step_post_hook(end_step)
        training.run()


if __name__ == "__main__":
    main()
