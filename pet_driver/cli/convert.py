"""`pet-driver convert`: makes a model file of a model that another program has trained."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import PetDriverError


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser of this verb."""
    parser = verbs.add_parser(
        "convert",
        help="make a model file from a metatrain checkpoint (PET-MAD, uPET ...) or an original PET",
    )
    parser.add_argument(
        "source",
        metavar="SOURCE",
        type=Path,
        help=".ckpt file of `mtt train`, or folder written by the original code (spozdn/pet)",
    )
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="default: SOURCE's name")
    parser.add_argument(
        "--variant",
        metavar="NAME",
        help="which energy of a checkpoint with several, or which weights of a folder",
    )
    parser.add_argument(
        "--sudden-bonds",
        action="store_true",
        help="the folder is from before April 2024, when bond energies ended at the cutoff "
        "without the cutoff factor",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Convert a checkpoint or folder and write the model file.

    :raises PetDriverError: if the source cannot be converted, or the output not be written
    """
    from ..files.checkpoint import save_checkpoint
    from ..files.conversion import convert

    output = options.output or Path(f"{options.source.stem}.safetensors")
    if output.suffix != ".safetensors":
        raise PetDriverError(f"the output is {output}; give a name that ends in .safetensors")
    if not output.parent.is_dir():
        raise PetDriverError(f"there is no folder {output.parent}; make it first")
    checkpoint = convert(options.source, options.variant, options.sudden_bonds)
    save_checkpoint(checkpoint, output)
    names = [name for name, _ in checkpoint.hyper.properties]
    print(
        f"wrote {output}: {len(checkpoint.hyper.species)} elements, "
        f"{sum(w.numel() for w in checkpoint.weights.values()):,} parameters"
        + (f", with {', '.join(names)}" if names else "")
        + "\nas trained it is not symmetric; with scope atom or structure it is, exactly"
    )
