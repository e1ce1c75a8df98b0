"""`pet-driver export-mliap`: write a stub for `pair_style mliap unified` of LAMMPS."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import PetDriverError
from .model_options import add_model_options, check_folder_of, options_from

if TYPE_CHECKING:
    from ..evaluation.potential import Potential


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the arguments of the command."""
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


def run(arguments: argparse.Namespace) -> None:
    """Load the model, to check it, and write the stub.

    :raises PetDriverError: if an argument is wrong, or the model is not there
    """
    _check(arguments)
    options = options_from(arguments)
    from ..evaluation.potential import Potential
    from ..files.checkpoint import find_model, load_checkpoint

    # The device may be that of another machine; everything else is checked here.
    potential = Potential(load_checkpoint(arguments.model), options.replace(device="cpu"))
    path = find_model(arguments.model).resolve()
    _write(arguments, potential, path)
    elements = " ".join(_symbols(potential.species))
    name = arguments.output.name
    quoted = f'"{name}"' if " " in name else name
    print(
        f"wrote {arguments.output}, which points to {path}\n"
        f"\n  pair_style mliap unified {quoted} 1\n"
        f"  pair_coeff * * {elements}          # the element of each atom type\n"
        f"  comm_modify cutoff {potential.hyper.depth * potential.neighbor_cutoff + 2.0:.2f}\n\n"
        "Python inside LAMMPS must find pet_driver: activate this environment, or put it into "
        "PYTHONPATH"
    )


def _check(arguments: argparse.Namespace) -> None:
    from ..engines.lammps.options import ENERGY_UNITS

    if arguments.output.suffix not in (".pt", ".pth"):
        raise PetDriverError(
            f"the output is {arguments.output}; give a name that ends in .pt, which LAMMPS needs "
            "to load it"
        )
    check_folder_of(arguments.output)
    if arguments.units not in ENERGY_UNITS:
        raise PetDriverError(
            f"--units is {arguments.units!r}; choose one of {', '.join(ENERGY_UNITS)}"
        )


def _write(arguments: argparse.Namespace, potential: Potential, path: Path) -> None:
    import torch

    from ..engines.lammps.mliap import PetUnified

    options = potential.options.replace(device=arguments.device)
    stub = PetUnified(
        str(path),
        potential.digest,
        _symbols(potential.species),
        potential.neighbor_cutoff,
        arguments.units,
        {**options.changed(), "dtype": options.dtype, "scope": potential.scope},
    )
    torch.save(stub, arguments.output)


def _symbols(species: tuple[int, ...]) -> list[str]:
    from ase.data import chemical_symbols

    return [chemical_symbols[number] for number in species]
