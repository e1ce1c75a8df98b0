"""A training with `pet-driver train`, in a process of its own, that ends after a given time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from metatrain_run import threads


def train_for(
    minutes: float, content: dict[str, Any], folder: Path, n_threads: int, n_frames: int
) -> Path:
    """Train on the split that `write_split` has written, and validate once per epoch.

    :param content: of an options file; its data and its time are replaced
    :param folder: of the training, beside the files of the split; a training that it holds is
        replaced
    :param n_threads: cores
    :param n_frames: number of structures in the training part
    :return: the model file
    """
    fit = {**content["fit"], "schedule": "time", "max_time": 60.0 * minutes, "steps": 10**7}
    fit["validate_every"] = max(n_frames // fit["batch_size"], 1)
    data = {"file": "training.xyz", "validation": "validation.xyz", "test": "test.xyz"}
    options = folder.with_suffix(".yaml")
    options.write_text(yaml.safe_dump({**content, "data": data, "fit": fit}))
    (folder / "log.csv").unlink(missing_ok=True)
    command = [sys.executable, "-m", "pet_driver.cli.main", "train", str(options), "--restart"]
    command += ["-o", str(folder), "--processes", str(n_threads)]
    subprocess.run(command, check=True, env=threads(1))
    return folder / f"{content['name']}.safetensors"
