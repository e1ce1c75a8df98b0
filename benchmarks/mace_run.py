"""Train MACE, in an environment of its own, for a limited time."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

TIMED = 3  # epochs of the run that tells how many fit into the time
# As in the README of mace-torch 0.3; batches are small, as the data are.
SETTINGS = {
    "model": "MACE",
    "E0s": "average",
    "r_max": "4.25",
    "batch_size": "5",
    "valid_batch_size": "5",
    "energy_weight": "1.0",
    "forces_weight": "100.0",
    "ema_decay": "0.99",
    "error_table": "PerAtomRMSE",
    "default_dtype": "float32",
    "device": "cpu",
    "seed": "1",
    "eval_interval": "1",
}
FLAGS = ("swa", "ema", "amsgrad")


def train(
    python: Path, data: Path, folder: Path, irreps: str, minutes: float, threads: dict[str, str]
) -> tuple[Path, list[dict[str, float]]]:
    """Train on training.xyz for about so many minutes, whole epochs.

    :param python: interpreter that has mace-torch
    :param data: folder with training.xyz and validation.xyz
    :param irreps: of the hidden features
    :param threads: environment of the process
    :return: the model file, and rows of its log: seconds, epoch, force (meV/angstrom)
    """
    trial = _run(python, data, folder / "trial", irreps, TIMED, threads)
    if len(trial) < 2:
        sys.exit(f"MACE has not finished {TIMED} epochs; its log is in {folder / 'trial'}")
    per_epoch = (trial[-1]["seconds"] - trial[0]["seconds"]) / (len(trial) - 1)
    epochs = max(int(60.0 * minutes / per_epoch), 4)
    print(f"MACE {irreps}: {per_epoch:.1f} s per epoch, {epochs} epochs", flush=True)
    rows = _run(python, data, folder / "run", irreps, epochs, threads)
    models = sorted((folder / "run").glob("mace*.model"), key=lambda path: path.stat().st_mtime)
    if not models:
        sys.exit(f"MACE has written no model; its log is in {folder / 'run'}")
    return models[-1], rows


def _run(
    python: Path, data: Path, folder: Path, irreps: str, epochs: int, threads: dict[str, str]
) -> list[dict[str, float]]:
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        **SETTINGS,
        "name": "mace",
        "train_file": str((data / "training.xyz").resolve()),
        "valid_file": str((data / "validation.xyz").resolve()),
        "hidden_irreps": irreps,
        "energy_key": "energy",
        "forces_key": "forces",
        "max_num_epochs": str(epochs),
        "start_swa": str(max(int(0.75 * epochs), 1)),
    }
    words = [f"--{key}={value}" for key, value in options.items()]
    command = [str(python), "-m", "mace.cli.run_train", *words, *(f"--{flag}" for flag in FLAGS)]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=threads,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    rows: list[dict[str, float]] = []
    begun = time.monotonic()
    with (folder / "log.txt").open("w") as log:
        for line in process.stdout or ():
            log.write(line)
            log.flush()
            found = re.search(r"Epoch (\d+):.*RMSE_F=\s*([\d.]+) meV", line)
            if found:
                seconds = time.monotonic() - begun
                epochs = float(found[1]) + 1.0  # it counts from 0
                row = {"seconds": seconds, "epoch": epochs, "force": float(found[2])}
                rows.append(row)
    process.wait()
    return rows
