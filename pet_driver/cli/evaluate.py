"""`pet-driver eval`: energies, forces, stress and per-atom energies of the structures in a file."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import PetDriverError
from .model_options import add_model_options, load, read_structures


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser("eval", help="evaluate the structures of a file, write extxyz")
    add_model_options(parser)
    parser.add_argument("structures", metavar="IN", type=Path, help="any format that ASE reads")
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=Path, required=True, help="extxyz file to write"
    )
    parser.add_argument(
        "--batch", type=int, default=4, help="structures evaluated at a time (default: 4)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    import ase.io

    from ..engines.ase import attach_results
    from ..progress import Progress

    if options.batch < 1:
        raise PetDriverError(f"--batch is {options.batch}; give at least 1")
    if not options.output.parent.is_dir():
        raise PetDriverError(f"there is no folder {options.output.parent}; make it first")
    if options.output.is_dir():
        raise PetDriverError(f"the output {options.output} is a folder; give the name of a file")
    potential = load(options)
    frames = read_structures(options.structures)
    size = options.batch
    with Progress("evaluating", len(frames)) as progress:
        for start in range(0, len(frames), size):
            part = frames[start : start + size]
            for offset, (atoms, prediction) in enumerate(
                zip(part, potential.compute(part), strict=True)
            ):
                frames[start + offset] = attach_results(atoms, prediction)
            progress.advance(steps=len(part))
    ase.io.write(options.output, frames, format="extxyz")
    print(
        f"wrote {len(frames)} structures with energy, forces, stress and per-atom energies to "
        f"{options.output}"
    )
