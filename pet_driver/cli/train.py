"""`pet-driver train`: from an options file and data to a model file."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(verbs: argparse._SubParsersAction) -> None:
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
        "--restart", action="store_true", help="begin anew although the folder holds a state"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    from ..errors import PetDriverError

    try:
        from ..training import Training, read_options
    except ModuleNotFoundError as error:
        raise PetDriverError(
            f"training needs {error.name}; install it with `pip install pet-driver[train]`"
        ) from error
    settings = read_options(options.options)
    folder = options.output or Path(f"{settings.name}_training")
    training = Training(
        settings, options.data_folder or options.options.parent, folder, options.device
    )
    if not options.restart:
        training.resume()
    print(f"wrote {training.run()}")
