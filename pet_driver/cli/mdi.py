"""`pet-driver mdi`: serve a model over the MolSSI Driver Interface."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..errors import PetDriverError
from .model_options import add_model_options, load

if TYPE_CHECKING:
    from ..engines.mdi.address import Address


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the arguments of the command."""
    parser = verbs.add_parser(
        "mdi", help="serve a model to an MDI driver, such as LAMMPS with `fix mdi/qm`"
    )
    add_model_options(parser)
    place = parser.add_argument_group("where the driver listens")
    place.add_argument("--port", type=int, help="of the driver")
    place.add_argument("--host", help="of the driver (default: localhost)")
    place.add_argument(
        "-mdi",
        metavar="WORDS",
        help='the same as all programs with MDI take it: "-role ENGINE -name PET -method TCP '
        '-hostname localhost -port 8021"',
    )
    parser.add_argument(
        "--elements",
        metavar="LIST",
        help="element of each atom type, with commas between, for drivers that send types",
    )
    parser.add_argument(
        "--most-force",
        type=float,
        default=1000.0,
        help="eV/angstrom; larger forces are refused (default: 1000)",
    )
    parser.add_argument(
        "--wait", type=float, default=60.0, help="seconds to wait for the driver (default: 60)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until the driver ends.

    :return: exit code
    :raises PetDriverError: if an argument is wrong, the model is not there, no driver answers, or
        there is no valid result
    """
    address, elements = _address(arguments), _elements(arguments.elements)
    from ..engines.mdi.engine import Engine

    Engine(load(arguments), elements, arguments.most_force).run(address, arguments.wait)
    return 0


def _address(arguments: argparse.Namespace) -> Address:
    from ..engines.mdi.address import Address

    if arguments.mdi is not None:
        if arguments.port is not None or arguments.host is not None:
            raise PetDriverError("give either -mdi or --port and --host, not both")
        return Address.from_words(arguments.mdi)
    if arguments.port is None:
        raise PetDriverError("give --port, on which the driver listens, or -mdi with its words")
    return Address(arguments.port, arguments.host or "localhost")


def _elements(text: str | None) -> tuple[int, ...] | None:
    """Atomic numbers of a list of symbols."""
    if text is None:
        return None
    from ase.data import atomic_numbers

    symbols = [word.strip() for word in text.split(",")]
    for symbol in symbols:
        if not atomic_numbers.get(symbol):
            raise PetDriverError(f"--elements names {symbol!r}; give symbols such as H,O")
    return tuple(atomic_numbers[symbol] for symbol in symbols)
