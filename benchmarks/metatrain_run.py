"""Train a PET with metatrain, in an environment of its own, for a limited time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ase.io
import yaml

from pet_driver.training.data import read_split
from pet_driver.training.options import DataOptions

TIMED = 1  # epochs of the run that tells how many fit into the time; one may take minutes


@dataclass(frozen=True)
class MetatrainRun:
    """One run of `mtt train` on the CPU.

    mtt: metatrain's program; folder: receives options.yaml, log.txt and what metatrain writes;
    data: folder with training.xyz, validation.xyz and test.xyz; network, training: metatrain's
    options of the architecture pet.
    """

    mtt: Path
    folder: Path
    data: Path
    network: dict[str, Any]
    training: dict[str, Any]

    def train_for(
        self, minutes: float, n_threads: int, epochs: int | None = None
    ) -> list[dict[str, float]]:
        """Time the first epochs, then train from the start for as many as fit into the time.

        The model is ``run/model.ckpt`` in the folder.

        :param epochs: number of epochs, if it is known
        :return: rows of the log with the seconds since the training began
        """
        if epochs is None:
            epochs = self._affordable(minutes, n_threads)
        # Epochs may get slower on a machine that is shared; only a run that ends writes its model.
        rows = self._of("run", epochs).train(120.0 * minutes, n_threads)
        if not (self.folder / "run" / "model.ckpt").exists():
            sys.exit(
                f"metatrain has written no model; its log is {self.folder / 'run' / 'log.txt'}"
            )
        return rows

    def _affordable(self, minutes: float, n_threads: int) -> int:
        """Number of epochs that fit into the time."""
        trial = self._of("trial", TIMED).train(60.0 * minutes, n_threads)
        if len(trial) < TIMED:
            log = self.folder / "trial" / "log.txt"
            sys.exit(f"metatrain has not finished an epoch; its log is {log}")
        per_epoch = trial[-1]["seconds"] / TIMED
        epochs = max(int(60.0 * minutes / per_epoch), 1)
        print(f"metatrain: {per_epoch:.1f} s per epoch, {epochs} epochs", flush=True)
        return epochs

    def _of(self, name: str, epochs: int) -> MetatrainRun:
        """The same run in a folder of its own, with a number of epochs."""
        training = {**self.training, "num_epochs": epochs}
        return replace(self, folder=self.folder / name, training=training)

    def train(self, seconds: float, n_threads: int) -> list[dict[str, float]]:
        """Run until all epochs are done or the time, counted from the first step on, is over.

        :return: rows of its log with the seconds since its training began
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "options.yaml").write_text(yaml.safe_dump(self._options()))
        process = subprocess.Popen(
            [str(self.mtt), "train", "options.yaml"],
            cwd=self.folder,
            env=threads(n_threads),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return follow(process, self.folder / "log.txt", seconds)

    def _options(self) -> dict[str, Any]:
        fixed = {"log_interval": 1, "num_workers": 0}
        return {
            "architecture": {
                "name": "pet",
                "model": self.network,
                "training": {"checkpoint_interval": 100_000, **fixed, **self.training},
            },
            "device": "cpu",
            "base_precision": 32,
            "seed": 0,
            "training_set": self._part("training.xyz"),
            "validation_set": self._part("validation.xyz"),
            "test_set": self._part("test.xyz"),
        }

    def _part(self, name: str) -> dict[str, Any]:
        return {
            "systems": {
                "read_from": str((self.data / name).resolve()),
                "length_unit": "angstrom",
            },
            "targets": {"energy": {"key": "energy", "unit": "eV", "forces": {"key": "forces"}}},
        }


def shape_of(model: dict[str, Any]) -> dict[str, Any]:
    """metatrain's options of a network that is given by ours."""
    return {
        "cutoff": model["cutoff"],
        "cutoff_width": model["cutoff_width"],
        "d_pet": model["width"],
        "d_node": model["node_width"],
        "d_feedforward": model["feedforward_width"],
        "d_head": model["head_width"],
        "num_heads": model["heads"],
        "num_gnn_layers": model["message_layers"],
        "num_attention_layers": model["attention_layers"],
        "normalization": {"layer": "LayerNorm", "rms": "RMSNorm"}[model["normalization"]],
        "activation": {"silu": "SiLU", "swiglu": "SwiGLU"}[model["activation"]],
    }


def write_split(data: Path, options: DataOptions, folder: Path) -> dict[str, int]:
    """Write each part of the split to a file that both programs read; numbers of frames."""
    split = read_split(
        data.parent,
        DataOptions(data.name, validation=options.validation, test=options.test, seed=options.seed),
    )
    frames = ase.io.read(data, index=":", format="extxyz")
    counts = {}
    for name, indices in split.indices().items():
        ase.io.write(folder / f"{name}.xyz", [frames[k] for k in indices], format="extxyz")
        counts[name] = len(indices)
    return counts


def threads(count: int) -> dict[str, str]:
    """Environment variables of a program that uses `count` threads."""
    return {**os.environ, "OMP_NUM_THREADS": str(count), "MKL_NUM_THREADS": str(count)}


def follow(process: subprocess.Popen, log: Path, seconds: float) -> list[dict[str, float]]:
    """Read its output until the time, counted from the start of its training, is over."""
    rows, begun = [], None
    with log.open("w") as file:
        for line in process.stdout:
            file.write(line)
            file.flush()
            now = time.monotonic()
            if "Starting training" in line:
                begun = now
                # A timer, because it may print nothing for a long time.
                timer = threading.Timer(seconds, process.terminate)
                timer.daemon = True
                timer.start()
            if "Epoch:" in line:
                begun = now if begun is None else begun
                rows.append({"seconds": now - begun, **numbers(line)})
        process.wait()
    return rows


def numbers(line: str) -> dict[str, float]:
    """Read the validation errors, in meV, from a line of metatrain's log."""
    found = {"epoch": float(re.search(r"Epoch:\s*(\d+)", line)[1]) + 1.0}
    patterns = {
        "energy": r"validation energy RMSE(?: \(per atom\))?:\s*([\d.eE+-]+)\s*(m?)eV",
        "force": r"validation forces?(?:\[energy\])? RMSE:\s*([\d.eE+-]+)\s*(m?)eV",
    }
    for name, pattern in patterns.items():
        match = re.search(pattern, line)
        if match:
            found[name] = float(match[1]) * (1.0 if match[2] else 1000.0)
    return found
