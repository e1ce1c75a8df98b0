"""Arguments shared by the commands that load a model and read structures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import PetDriverError
from ..evaluation.options import FLAGS, FRAMES, EvaluationOptions, described

if TYPE_CHECKING:
    from ase import Atoms

    from ..evaluation.potential import Potential


def add_model_options(
    parser: argparse.ArgumentParser, several: bool = False, **defaults: object
) -> None:
    """Add MODEL and a flag for each of the options of an evaluation.

    :param several: whether several models can be given, or none
    :param defaults: by name of the option, where it is not that of `EvaluationOptions`
    """
    parser.add_argument(
        "models" if several else "model",
        metavar="MODEL",
        nargs="*" if several else None,
        help="name of a shipped model, or path of a model file",
    )
    standard = EvaluationOptions().replace(**defaults)
    for name, option in FLAGS.items():
        flag, default = f"--{name.replace('_', '-')}", getattr(standard, name)
        text = described(name, default)
        if option.metavar:
            parser.add_argument(flag, default=default, metavar=option.metavar, help=text)
        else:
            parser.add_argument(flag, action="store_true", help=text)


def add_choice_of_frames(parser: argparse.ArgumentParser) -> None:
    """Add --frames to a command that measures which constants to choose."""
    parser.add_argument(
        "--frames",
        metavar="NAME",
        choices=FRAMES,
        help=f"constants of the frames: {', '.join(FRAMES)} (default: the cheapest whose "
        "symmetrization force is small, as measured)",
    )


def check_model_output(path: Path) -> None:
    """Check that a model file can get this name.

    :raises PetDriverError: if its ending is another, or there is no such folder
    """
    if path.suffix != ".safetensors":
        raise PetDriverError(f"the output is {path}; give a name that ends in .safetensors")
    check_folder_of(path)


def check_folder_of(path: Path) -> None:
    """Check that the folder of a file to write is there, and that the file is no folder itself.

    :raises PetDriverError: if not
    """
    if not path.parent.is_dir():
        raise PetDriverError(f"there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise PetDriverError(f"the output {path} is a folder; give the name of a file")


def options_from(namespace: argparse.Namespace) -> EvaluationOptions:
    """Options of the evaluation that the flags ask for.

    :raises PetDriverError: for a wrong value
    """
    return EvaluationOptions.from_keywords(**{name: getattr(namespace, name) for name in FLAGS})


def load(namespace: argparse.Namespace) -> Potential:
    """Load the model that the arguments ask for.

    :raises PetDriverError: if an option is wrong, or the model or the device is not there
    """
    options = options_from(namespace)
    from ..evaluation.potential import Potential
    from ..files.checkpoint import load_checkpoint

    return Potential(load_checkpoint(namespace.model), options)


def read_structures(path: Path) -> list[Atoms]:
    """Read all structures of a file.

    :raises PetDriverError: if there is no such file, ASE cannot read it, or nothing is in it
    """
    import ase.io

    try:
        structures = ase.io.read(path, index=":", do_not_split_by_at_sign=True)
    except FileNotFoundError as error:
        raise PetDriverError(f"there is no file {path}; give the structures to evaluate") from error
    except Exception as error:  # ASE's readers raise anything
        from ..engines.ase import reading_error

        raise PetDriverError(
            f"{path} cannot be read as structures: {reading_error(error)}; give a file that ASE "
            "reads"
        ) from error
    assert isinstance(structures, list)  # as the index is a slice
    if not structures:
        raise PetDriverError(
            f"ASE finds no structure in {path}; give at least one, in a format such as extxyz (a "
            "data file of LAMMPS does not say which elements its types are)"
        )
    return structures
