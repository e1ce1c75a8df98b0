"""`pet-driver export-mliap`: a stub for `pair_style mliap unified` of LAMMPS."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import PetDriverError
from .model_options import add_model_options, load


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "export-mliap",
        help="write what `pair_style mliap unified` of LAMMPS loads: it points to the model",
    )
    add_model_options(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, required=True, help="ends in .mliap.pt"
    )
    parser.add_argument(
        "--units", default="metal", help="of the LAMMPS scripts: metal or real (default: metal)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    import torch

    from ..engines.lammps.mliap import PetUnified
    from ..engines.lammps.options import ENERGY_UNITS
    from ..files.checkpoint import find_model

    if options.output.suffix not in (".pt", ".pth"):
        raise PetDriverError(
            f"the output is {options.output}; LAMMPS takes it for what it is if it ends in .pt"
        )
    if not options.output.parent.is_dir():
        raise PetDriverError(f"there is no folder {options.output.parent}; make it first")
    if options.units not in ENERGY_UNITS:
        raise PetDriverError(
            f"--units is {options.units!r}; choose one of {', '.join(ENERGY_UNITS)}"
        )
    # The device may be that of another machine; the rest is tried out here.
    device, options.device = options.device, "cpu"
    potential = load(options)
    path = find_model(options.model).resolve()
    choices = {
        "device": device,
        "dtype": options.dtype,
        "scope": potential.scope,
        "parity": options.parity,
        "charge": options.charge,
        "spin": options.spin,
        "extra_rotations": options.extra_rotations,
    }
    stub = PetUnified(
        str(path), potential.digest, potential.species, potential.cutoff, options.units, choices
    )
    torch.save(stub, options.output)
    elements = " ".join(stub.element_types)
    print(
        f"wrote {options.output}, which points to {path}\n"
        f"\n  pair_style mliap unified {options.output.name} 1\n"
        f"  pair_coeff * * {elements}          # the element of each atom type\n"
        f"  comm_modify cutoff {potential.hyper.depth * potential.cutoff + 2.0:.2f}\n\n"
        "Python inside LAMMPS must find pet_driver: activate this environment, or put it into "
        "PYTHONPATH"
    )
