"""`pet-driver ipi`: serve a model to i-PI."""

from __future__ import annotations

import argparse
from pathlib import Path

from .model_options import add_model_options, load


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser("ipi", help="serve a model to i-PI over a socket")
    add_model_options(parser)
    parser.add_argument(
        "--template",
        type=Path,
        required=True,
        help="structure with the elements in i-PI's order and the periodicity; any format of ASE",
    )
    parser.add_argument("--unix", metavar="NAME", help="name of the unix socket (<address>)")
    parser.add_argument("--prefix", default="/tmp/ipi_", help="of the unix socket's path")
    parser.add_argument("--host", default="localhost", help="of an inet socket")
    parser.add_argument("--port", type=int, help="of an inet socket")
    parser.add_argument("--wait", type=float, default=60.0, help="seconds to wait for i-PI")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    import sys

    import ase.io

    from ..engines.ipi import EXIT_NO_RESULT, Address, Client
    from ..errors import PetDriverError
    from ..structure import System, species_indices

    if (options.unix is None) == (options.port is None):
        raise PetDriverError(
            "give either --unix NAME or --port P (with --host H), as in i-PI's input"
        )
    path = None if options.unix is None else options.prefix + options.unix
    address = Address(path, options.host, options.port or 0)
    potential = load(options)
    try:
        template = System.from_atoms(ase.io.read(options.template))
    except FileNotFoundError as error:
        raise PetDriverError(
            f"there is no template {options.template}; give a structure"
        ) from error
    except Exception as error:  # ASE's readers raise anything
        raise PetDriverError(f"the template {options.template} cannot be read: {error}") from error
    species_indices(template.numbers, potential.species)
    client = Client(potential, template, address, options.wait)
    try:
        return client.run()
    except PetDriverError as error:
        print(f"pet-driver ipi: {error}", file=sys.stderr)
        return EXIT_NO_RESULT
