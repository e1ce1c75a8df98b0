"""`pet-driver train`: from an options file and data to a model file."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import warnings
from pathlib import Path


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb ``train`` to the command."""
    parser = verbs.add_parser("train", help="train a model")
    parser.add_argument("options", metavar="OPTIONS", type=Path, help="YAML file")
    parser.add_argument(
        "--data-folder", type=Path, help="where data.file lies (default: beside OPTIONS)"
    )
    parser.add_argument(
        "-o", "--output", type=Path, help="folder for model, log and state (default: NAME_training)"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    parser.add_argument(
        "--processes",
        type=int,
        default=1,
        metavar="N",
        help="train with N processes that share every batch, on N cores (much faster than N "
        "threads) or N GPUs; torchrun works too (default: 1)",
    )
    parser.add_argument(
        "--restart", action="store_true", help="begin anew even if the folder holds a state"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Train a model, or resume a training, and print the path of the model file.

    :raises PetDriverError: if an option, the options file or the data are not valid
    """
    from ..errors import PetDriverError

    try:
        from ..training import Training, Workers, read_options, start_workers
    except ModuleNotFoundError as error:
        raise PetDriverError(
            f"training needs {error.name}; install it with `pip install 'pet-driver[train]'`"
        ) from error
    if options.processes < 1:
        raise PetDriverError(f"--processes is {options.processes}; give at least 1")
    settings = read_options(options.options)
    folder = options.output or Path(f"{settings.name}_training")
    data_folder = options.data_folder or options.options.parent
    others: list[subprocess.Popen[bytes]] = []
    started = {"RANK", "WORLD_SIZE"} <= os.environ.keys()
    if options.processes > 1 and not started:
        others = start_workers(options.processes, _command(options, folder))
    try:
        workers = Workers(options.device)
        training = Training(settings, data_folder, folder, workers=workers)
        if options.restart:
            training.forget()
        else:
            training.resume()
        if training.ended and workers.first:
            warnings.warn(
                f"the training in {folder} has ended already, and its weights stay; raise "
                "fit.steps, fit.max_time or fit.patience to go on, or add --restart",
                stacklevel=2,
            )
        path = training.run()
        workers.close()
    finally:
        for process in others:
            process.terminate()
            process.wait()
    if workers.first:
        print(f"wrote {path}")


def leave_group(code: int) -> None:
    """End this process at once after an error, if it shares a training with others.

    Otherwise the connections to a process that was killed are taken down while Python exits, and
    their library may abort.

    :param code: exit code of the command
    """
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _command(options: argparse.Namespace, folder: Path) -> list[str]:
    """Arguments for the other processes."""
    command = ["train", str(options.options), "-o", str(folder), "--device", options.device]
    if options.data_folder is not None:
        command += ["--data-folder", str(options.data_folder)]
    return [*command, "--restart"] if options.restart else command
