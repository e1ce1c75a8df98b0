"""`pet-driver ipi`: serve a model to i-PI."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import PetDriverError
from .model_options import add_model_options, reason

if TYPE_CHECKING:
    from ..engines.ipi import Address
    from ..structure import System


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser(
        "ipi", help="serve a model, or several as a committee, to i-PI over a socket"
    )
    add_model_options(parser, several=True)
    parser.add_argument(
        "--template",
        type=Path,
        help="structure with the elements in i-PI's order and the periodicity; any format of ASE",
    )
    where = parser.add_argument_group("where i-PI listens; several, each with an --output")
    add = {"action": "append", "default": []}
    where.add_argument("--unix", metavar="NAME", **add, help="name of a unix socket (<address>)")
    where.add_argument("--shm", metavar="NAME", **add, help="the same, of an ffsocket mode='shm'")
    where.add_argument("--port", type=int, **add, help="of an inet socket")
    where.add_argument("--host", default="localhost", help="of an inet socket")
    where.add_argument("--prefix", default="/tmp/ipi_", help="of the unix sockets' paths")
    parser.add_argument(
        "--output",
        metavar="WHAT",
        **add,
        help="ecse (exact, the default), plain (no frames) or difference (ecse less plain); given "
        "once for all addresses or once for each: unix ones first, then shm, then ports",
    )
    parser.add_argument(
        "--extras",
        default="",
        metavar="LIST",
        help="to send along, with commas between: energies, dipole, committee_force, "
        "symmetry_spread",
    )
    parser.add_argument(
        "--most-force",
        type=float,
        default=1000.0,
        help="eV/angstrom; larger forces are refused (default: 1000)",
    )
    parser.add_argument("--wait", type=float, default=60.0, help="seconds to wait for i-PI")
    parser.add_argument(
        "--reconnect", type=int, default=0, metavar="N", help="times to connect again after an end"
    )
    parser.add_argument(
        "--idle", type=float, default=0.0, help="leave after so many silent seconds (0: never)"
    )
    parser.add_argument(
        "--pes-path",
        action="store_true",
        help="print the path of the PES file for <ffdirect> and `i-pi-py_driver -m custom -P`",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    import sys

    from ..engines import ipi_pes_path
    from ..engines.ipi import EXIT_NO_RESULT, Client
    from ..engines.ipi_service import Service

    if options.pes_path:
        print(ipi_pes_path())
        return 0
    if not options.models or options.template is None:
        raise PetDriverError("give a MODEL and --template, the structure of i-PI's <initialize>")
    addresses = _addresses(options)
    outputs = options.output or ["ecse"]
    if len(outputs) == 1:
        outputs = outputs * len(addresses)
    if len(outputs) != len(addresses):
        raise PetDriverError(
            f"there are {len(outputs)} --output for {len(addresses)} addresses; give one for each, "
            "or one for all"
        )
    extras = tuple(name for name in options.extras.split(",") if name)
    service = Service(
        options.models,
        _template(options.template),
        outputs[0],
        extras,
        options.most_force,
        device=options.device,
        dtype=options.dtype,
        scope=options.scope,
        parity=options.parity,
        extra_rotations=options.extra_rotations,
    )
    services = [service.with_output(output) for output in outputs]
    client = Client(
        list(zip(addresses, services, strict=True)), options.wait, options.reconnect, options.idle
    )
    try:
        return client.run()
    except PetDriverError as error:
        print(f"pet-driver ipi: {error}", file=sys.stderr)
        return EXIT_NO_RESULT


def _addresses(options: argparse.Namespace) -> list[Address]:
    from ..engines.ipi import Address

    found = [Address(options.prefix + name) for name in options.unix]
    found += [Address(options.prefix + name, shared=True) for name in options.shm]
    found += [Address(None, options.host, port) for port in options.port]
    if not found:
        raise PetDriverError(
            "give --unix NAME, --shm NAME or --port P (with --host H), as in i-PI's input"
        )
    return found


def _template(path: Path) -> System:
    import ase.io

    from ..structure import System, check_structure

    try:
        template = System.from_atoms(ase.io.read(path))
    except FileNotFoundError as error:
        raise PetDriverError(f"there is no template {path}; give a structure") from error
    except Exception as error:  # ASE's readers raise anything
        raise PetDriverError(
            f"the template {path} cannot be read: {reason(error)}; give a file that ASE reads"
        ) from error
    check_structure(template)
    return template
