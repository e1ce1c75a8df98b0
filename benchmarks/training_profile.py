"""Where the time of a training step goes, and how busy the cores are meanwhile.

python benchmarks/training_profile.py OPTIONS.yaml DATA_FOLDER [--steps 10] [--threads 2]

Trains from random weights with the options, first with one drawn frame for each atom, then with all
frames, and times the parts of each step: graphs and labels, frames, energies, forces, the gradient
of the weights, the optimizer, and the average of the weights; then one validation. For each part
prints its share and the mean number of busy cores (CPU time over wall-clock time), and writes
results/training_profile.json, one entry for each model.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import errors_in_words
import torch
from results_file import RESULTS, write_results

from pet_driver.runtime.stopwatch import Stopwatch
from pet_driver.training import Training, read_options

# Functions in which each part is done. An inner part counts for itself, not for the outer one.
PARTS = {
    "graphs and labels": "pet_driver.training.batches:Batches.make",
    "frames": "pet_driver.evaluation.scopes:Evaluator._frames",
    "energies": "pet_driver.model.pet:PET.forward",
    "forces": "pet_driver.evaluation.scopes:_gradients",
    "gradient of the weights": "torch:Tensor.backward",
    "optimizer": "pet_driver.training.optimizer:Optimizer.step",
    "average of the weights": "torch.optim.swa_utils:AveragedModel.update_parameters",
}
REST = "rest"
MODES = {"one drawn frame": 1.0, "all frames": 0.0}  # share of the training with drawn frames
WARM_UP = 2  # steps that are not counted


class Parts:
    """Seconds and CPU seconds of each part; time of an inner part is not that of the outer one."""

    def __init__(self) -> None:
        self._wall, self._cpu = Stopwatch(), Stopwatch(time.process_time)
        self.wall, self.cpu = self._wall.seconds, self._cpu.seconds

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Add the time spent in the context to a part."""
        with self._wall.measure(part), self._cpu.measure(part):
            yield

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose time is booked on a part."""

        def wrapped(*arguments: Any, **keywords: Any) -> Any:  # noqa: ANN401
            with self.measure(part):
                return function(*arguments, **keywords)

        return wrapped


def main() -> None:
    """Profile one model and add it to the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("options", type=Path)
    parser.add_argument("data_folder", type=Path)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(chosen.threads)
    options = read_options(chosen.options)
    modes = {}
    for mode, share in MODES.items():
        fit = dataclasses.replace(options.fit, sampled_share=share, frames_drawn=1)
        changed = dataclasses.replace(options, fit=fit)
        modes[mode] = profile(changed, chosen.data_folder, chosen.steps)
        show(mode, modes[mode])
    path = RESULTS / "training_profile.json"
    known = json.loads(path.read_text())["models"] if path.exists() else {}
    known[options.name] = {"threads": chosen.threads, "steps": chosen.steps, "modes": modes}
    print(f"wrote {write_results('training_profile', {'models': known})}")


def profile(options: Any, data_folder: Path, steps: int) -> dict[str, Any]:  # noqa: ANN401
    """Milliseconds and busy cores of a step, of its parts, and of one validation."""
    with tempfile.TemporaryDirectory() as folder:
        training = Training(options, data_folder, Path(folder))
        for _ in range(WARM_UP):
            training.take_step()
        with measured() as parts, parts.measure(REST):
            for _ in range(steps):
                training.take_step()
        start = time.perf_counter()
        training.validate(0.0)
        validation = time.perf_counter() - start
    total = sum(parts.wall.values())
    return {
        "ms/step": 1e3 * total / steps,
        "busy cores": sum(parts.cpu.values()) / total,
        "validation, ms": 1e3 * validation,
        "parts": {
            name: {
                "share": parts.wall[name] / total,
                "busy cores": parts.cpu[name] / max(parts.wall[name], 1e-9),
            }
            for name in (*PARTS, REST)
        },
    }


@contextmanager
def measured() -> Iterator[Parts]:
    """Context in which the parts are timed."""
    parts, changed = Parts(), []
    for part, place in PARTS.items():
        module, path = place.split(":")
        owner = importlib.import_module(module)
        *classes, name = path.split(".")
        for found in classes:
            owner = getattr(owner, found)
        function = getattr(owner, name)
        changed.append((owner, name, function))
        setattr(owner, name, parts.timed(part, function))
    try:
        yield parts
    finally:
        for owner, name, function in changed:
            setattr(owner, name, function)


def show(mode: str, found: dict[str, Any]) -> None:
    """Print a table of one mode."""
    print(f"\n{mode}: {found['ms/step']:.0f} ms/step, {found['busy cores']:.2f} cores busy")
    print(f"one validation: {found['validation, ms']:.0f} ms")
    for name, row in found["parts"].items():
        print(f"  {name:26s}{100 * row['share']:6.1f} %{row['busy cores']:8.2f} cores")


if __name__ == "__main__":
    errors_in_words.run(main)
