"""The average of the paper over a trained plain model: its errors without and with the average.

python benchmarks/paper_averages.py TRAINING --data-folder FOLDER [--atoms 1000]

TRAINING is the folder of a finished training. Nothing is trained again: the same weights are
evaluated as they are and in scope `structure`, which rotates the whole structure into the frames of
all atoms, as the code of arXiv 2305.19302 does. Both see the same test structures, of about that
many atoms together, as the average takes long. Prints the errors as JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import load_checkpoint
from pet_driver.training import read_options
from pet_driver.training.accuracy import summary
from pet_driver.training.data import Frame, read_split
from pet_driver.training.report import compared
from pet_driver.training.start import property_ranks

# With the constants of the paper, not those that the options of the model name.
WAYS = {
    "plain": {"scope": "none"},
    "averaged": {"scope": "structure", "frames": "paper"},
}


def main() -> None:
    """Evaluate in both scopes and print the errors."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("training", type=Path)
    parser.add_argument("--data-folder", type=Path, required=True)
    parser.add_argument("--atoms", type=int, default=1000)
    chosen = parser.parse_args()
    options = read_options(chosen.training / "options.yaml")
    split = read_split(chosen.data_folder, options.data, property_ranks(options, None))
    structures = some(split.test, chosen.atoms)
    model = load_checkpoint(chosen.training / f"{options.name}.safetensors")
    errors = {}
    for name, way in WAYS.items():
        potential = Potential(model, **way, dtype="float32")
        predictions = [potential.compute(frame.system) for frame in structures]
        errors[name] = summary(compared(structures, predictions))
    print(json.dumps({"structures": len(structures), "errors": errors}))


def some(frames: list[Frame], n_atoms: int) -> list[Frame]:
    """Frames of about ``n_atoms`` atoms together, evenly chosen."""
    mean = sum(len(frame.system.numbers) for frame in frames) / len(frames)
    step = max(round(len(frames) * mean / n_atoms), 1)
    return frames[::step]


if __name__ == "__main__":
    main()
