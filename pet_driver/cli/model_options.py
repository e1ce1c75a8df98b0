"""What verbs that load a model and read structures share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import PetDriverError

if TYPE_CHECKING:
    from ase import Atoms

    from ..evaluation.potential import Potential


def add_model_options(
    parser: argparse.ArgumentParser, dtype: str = "float32", several: bool = False
) -> None:
    """MODEL, or several, --scope, --parity, --extra-rotations, --device, --dtype."""
    parser.add_argument(
        "models" if several else "model",
        metavar="MODEL",
        nargs="*" if several else None,
        help="name of a shipped model, or path of a model file",
    )
    parser.add_argument(
        "--scope",
        default=None,
        help="averaged over frames: layer, atom, structure (all exact), none (plain PET); "
        "default: as trained",
    )
    parser.add_argument(
        "--parity",
        action="store_true",
        help="mirror images too have the same energy, at twice the cost",
    )
    parser.add_argument(
        "--extra-rotations",
        type=int,
        default=0,
        metavar="N",
        help="use every frame in N further, fixed orientations (default: 0)",
    )
    parser.add_argument(
        "--charge", type=int, default=0, help="of structures that do not say, in e (default: 0)"
    )
    parser.add_argument(
        "--spin",
        type=int,
        default=1,
        help="multiplicity, of structures that do not say (default: 1)",
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    parser.add_argument("--dtype", default=dtype, help=f"float32 or float64 (default: {dtype})")


def load(options: argparse.Namespace) -> Potential:
    """The model that the options ask for."""
    from ..evaluation.potential import load_model

    return load_model(
        options.model,
        options.device,
        options.dtype,
        options.scope,
        extra_rotations=options.extra_rotations,
        parity=options.parity,
        charge=options.charge,
        spin=options.spin,
    )


def read_structures(path: Path) -> list[Atoms]:
    """All structures of a file.

    :raises PetDriverError: if there is no such file, ASE cannot read it, or nothing is in it
    """
    import ase.io

    try:
        frames = ase.io.read(path, index=":")
    except FileNotFoundError as error:
        raise PetDriverError(f"there is no file {path}; give the structures to evaluate") from error
    except Exception as error:  # ASE's readers raise anything
        raise PetDriverError(
            f"{path} cannot be read as structures: {reason(error)}; give a file that ASE reads"
        ) from error
    if not frames:
        raise PetDriverError(f"{path} holds no structure; give at least one")
    return frames


def reason(error: Exception) -> str:
    """What a reader of ASE says, on one line."""
    said = " ".join(str(error).split())
    # An element that does not exist is the key of a failed look-up.
    return f"{said} is unknown" if isinstance(error, KeyError) else said
