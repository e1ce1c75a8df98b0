"""`pet-driver ipi`: serve a model, or several, to i-PI."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import PetDriverError
from .model_options import add_model_options, options_from

if TYPE_CHECKING:
    from ..engines.ipi.address import Address
    from ..engines.ipi.service import Service
    from ..evaluation.options import EvaluationOptions
    from ..parallel import NodePlace


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the arguments of the command."""
    parser = verbs.add_parser(
        "ipi", help="serve a model, or several as a committee, to i-PI over a socket"
    )
    add_model_options(parser, several=True)
    parser.add_argument(
        "--template",
        type=Path,
        help="structure with the elements in i-PI's order and the periodicity; any format of ASE",
    )
    _add_addresses(parser)
    parser.add_argument(
        "--output",
        metavar="NAME",
        action="append",
        default=[],
        help="ecse (exact, the default), plain (no frames), difference (ecse minus plain), direct "
        "(plain, forces not from the gradient) or direct_difference (ecse minus direct); given "
        "once for all addresses or once for each: unix ones first, then shm, then ports",
    )
    parser.add_argument(
        "--extras",
        default="",
        metavar="LIST",
        help="sent along, with commas between: energies, dipole, committee_force, "
        "symmetry_spread, energy_uncertainty",
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
        "--idle",
        type=float,
        default=0.0,
        help="leave after so many seconds without a message (0: never)",
    )
    parser.add_argument(
        "--pes-path",
        action="store_true",
        help="print the path of the PES file for <ffdirect> and `i-pi-py_driver -m custom -P`",
    )
    parser.set_defaults(run=run)


def _add_addresses(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("where i-PI listens; several, each with an --output")
    for flag, help_text in (
        ("--unix", "name of a unix socket (<address>)"),
        ("--shm", "the same, of an ffsocket mode='shm'"),
    ):
        group.add_argument(flag, metavar="NAME", action="append", default=[], help=help_text)
    group.add_argument("--port", type=int, action="append", default=[], help="of an inet socket")
    group.add_argument("--host", default="localhost", help="of an inet socket")
    group.add_argument("--prefix", default="/tmp/ipi_", help="of the unix sockets' paths")
    group.add_argument("--mpi", action="store_true", help="an <ffmpi>, in one MPI job with i-PI")
    group.add_argument("--mpi-name", default="", help="its name, if there are several")


def run(arguments: argparse.Namespace) -> int:
    """Serve until i-PI ends, or print the path of the PES file.

    :return: exit code: 0, 3 without a valid result, 4 without a server
    :raises PetDriverError: if an argument is wrong, or the model or the template is not there
    """
    from ..engines.ipi import ipi_pes_path

    if arguments.pes_path:
        print(ipi_pes_path())
        return 0
    if not arguments.models or arguments.template is None:
        raise PetDriverError("give a MODEL and --template, the structure of i-PI's <initialize>")
    return _serve_mpi(arguments) if arguments.mpi else _serve_sockets(arguments)


def _serve_sockets(arguments: argparse.Namespace) -> int:
    import sys

    from ..engines.ipi.client import EXIT_NO_RESULT, Client

    addresses = _addresses(arguments)
    outputs = arguments.output or ["ecse"]
    if len(outputs) == 1:
        outputs = outputs * len(addresses)
    if len(outputs) != len(addresses):
        raise PetDriverError(
            f"there are {len(outputs)} --output for {len(addresses)} addresses; give one for each, "
            "or one for all"
        )
    services = _services(arguments, options_from(arguments), outputs)
    client = Client(
        list(zip(addresses, services, strict=True)),
        arguments.wait,
        arguments.reconnect,
        arguments.idle,
    )
    try:
        return client.run()
    except PetDriverError as error:
        print(f"pet-driver ipi: {error}", file=sys.stderr)
        return EXIT_NO_RESULT


def _services(
    arguments: argparse.Namespace, options: EvaluationOptions, outputs: list[str]
) -> list[Service]:
    """A service for each output, all of the same loaded models."""
    from ..engines.ipi.committee import Committee
    from ..engines.ipi.service import Service
    from ..engines.ipi.template import read_template

    committee = Committee(arguments.models, options)
    template = read_template(arguments.template)
    extras = tuple(name for name in arguments.extras.split(",") if name)
    return [
        Service(committee, template, output, extras, arguments.most_force) for output in outputs
    ]


def _serve_mpi(arguments: argparse.Namespace) -> int:
    if arguments.unix or arguments.shm or arguments.port or len(arguments.output) > 1:
        raise PetDriverError(
            "--mpi stands alone, with one --output; give sockets to a driver of their own"
        )
    from ..parallel.launch import start_mpi

    world = start_mpi()  # first: the module of the driver imports mpi4py
    from ..engines.ipi.mpi import MpiDriver
    from ..engines.rank_share import options_of_rank, use_share

    options, outputs = options_from(arguments), arguments.output or ["ecse"]

    def open_service(place: NodePlace) -> Service:
        of_rank = options_of_rank(options, place)
        use_share(of_rank, place)
        return _services(arguments, of_rank, outputs)[0]

    return MpiDriver(world, open_service, arguments.mpi_name).run()


def leave_job(code: int) -> None:
    """End this process, if it is a rank of an MPI job; with an error, end the whole job.

    i-PI would wait for ever for a rank that leaves without a message.

    :param code: exit code of the command
    """
    import os
    import sys
    import time

    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError):
        return
    if MPI.Is_initialized() and MPI.COMM_WORLD.size > 1:
        if code:
            time.sleep(0.5)  # for the launcher to print what this rank has printed
            MPI.COMM_WORLD.Abort(code)
        # i-PI ends at once, and MPICH may kill the ranks that are left; unloading torch takes long.
        MPI.Finalize()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _addresses(arguments: argparse.Namespace) -> list[Address]:
    from ..engines.ipi.address import Address

    found = [Address(arguments.prefix + name) for name in arguments.unix]
    found += [Address(arguments.prefix + name, shared=True) for name in arguments.shm]
    found += [Address(None, arguments.host, port) for port in arguments.port]
    if not found:
        raise PetDriverError(
            "give --unix NAME, --shm NAME, --port P (with --host H) or --mpi, as in i-PI's input"
        )
    return found
