"""`pet-driver ipi`: serve a model to i-PI."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import PetDriverError
from .model_options import add_model_options, reason

if TYPE_CHECKING:
    from ..engines.ipi.client import Address
    from ..engines.ipi.service import Service
    from ..graph import System
    from ..parallel import NodePlace


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
    where.add_argument("--mpi", action="store_true", help="an <ffmpi>, in one MPI job with i-PI")
    where.add_argument("--mpi-name", default="", help="its name, if there are several")
    parser.add_argument(
        "--output",
        metavar="WHAT",
        **add,
        help="ecse (exact, the default), plain (no frames), difference (ecse less plain), direct "
        "(plain, forces not from the gradient) or direct_difference (ecse less direct); given "
        "once for all addresses or once for each: unix ones first, then shm, then ports",
    )
    parser.add_argument(
        "--extras",
        default="",
        metavar="LIST",
        help="to send along, with commas between: energies, dipole, committee_force, "
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

    from ..engines.ipi import ipi_pes_path
    from ..engines.ipi.client import EXIT_NO_RESULT, Client

    if options.pes_path:
        print(ipi_pes_path())
        return 0
    if not options.models or options.template is None:
        raise PetDriverError("give a MODEL and --template, the structure of i-PI's <initialize>")
    if options.mpi:
        return _serve_mpi(options)
    addresses = _addresses(options)
    outputs = options.output or ["ecse"]
    if len(outputs) == 1:
        outputs = outputs * len(addresses)
    if len(outputs) != len(addresses):
        raise PetDriverError(
            f"there are {len(outputs)} --output for {len(addresses)} addresses; give one for each, "
            "or one for all"
        )
    service = _service(options, outputs[0], options.device)
    services = [service.with_output(output) for output in outputs]
    client = Client(
        list(zip(addresses, services, strict=True)), options.wait, options.reconnect, options.idle
    )
    try:
        return client.run()
    except PetDriverError as error:
        print(f"pet-driver ipi: {error}", file=sys.stderr)
        return EXIT_NO_RESULT


def _service(options: argparse.Namespace, output: str, device: str, ranks: int = 1) -> Service:
    """
    :param ranks: number of processes on this machine that share its memory
    """
    from ..engines.ipi.service import Service

    return Service(
        options.models,
        _template(options.template),
        output,
        tuple(name for name in options.extras.split(",") if name),
        options.most_force,
        device=device,
        dtype=options.dtype,
        scope=options.scope,
        parity=options.parity,
        charge=options.charge,
        spin=options.spin,
        extra_rotations=options.extra_rotations,
        memory_share=0.4 / ranks,
    )


def _serve_mpi(options: argparse.Namespace) -> int:
    if options.unix or options.shm or options.port or len(options.output) > 1:
        raise PetDriverError(
            "--mpi stands alone, with one --output; give sockets to a driver of their own"
        )
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise PetDriverError(
            f"--mpi needs mpi4py and MPI ({error}); pip install pet-driver[lammps]"
        ) from error
    import os

    import torch

    from ..engines.ipi.mpi import MpiDriver
    from ..runtime.devices import device_of_rank

    def opened(place: NodePlace) -> Service:
        if "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(place.cores)
        device = device_of_rank(options.device, place.rank)
        return _service(options, (options.output or ["ecse"])[0], device, place.size)

    return MpiDriver(MPI.COMM_WORLD, opened, options.mpi_name).run()


def leave_job(code: int) -> None:
    """End this process, if it is a rank of an MPI job. With an error, end the job: i-PI would wait
    for ever for a rank that just leaves.
    """
    import os
    import sys
    import time

    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError):
        return
    if MPI.COMM_WORLD.size > 1:
        if code:
            time.sleep(0.5)  # for the launcher to pass on what has been said
            MPI.COMM_WORLD.Abort(code)
        # i-PI leaves abruptly and MPICH may kill whoever is still there; torch takes its time to
        # unload.
        MPI.Finalize()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _addresses(options: argparse.Namespace) -> list[Address]:
    from ..engines.ipi.client import Address

    found = [Address(options.prefix + name) for name in options.unix]
    found += [Address(options.prefix + name, shared=True) for name in options.shm]
    found += [Address(None, options.host, port) for port in options.port]
    if not found:
        raise PetDriverError(
            "give --unix NAME, --shm NAME, --port P (with --host H) or --mpi, as in i-PI's input"
        )
    return found


def _template(path: Path) -> System:
    import ase.io

    from ..graph import System, check_structure

    try:
        # In an MPI job ASE would broadcast, and i-PI takes no part in that.
        template = System.from_atoms(ase.io.read(path, parallel=False))
    except FileNotFoundError as error:
        raise PetDriverError(f"there is no template {path}; give a structure") from error
    except Exception as error:  # ASE's readers raise anything
        raise PetDriverError(
            f"the template {path} cannot be read: {reason(error)}; give a file that ASE reads"
        ) from error
    check_structure(template)
    return template
