"""`pet-driver bench`: time of a step with a model and a structure, beside plain PET."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import PetDriverError
from .model_options import add_model_options, check_folder_of, load, read_structures

if TYPE_CHECKING:
    from ase import Atoms

    from ..evaluation.potential import Potential

_MOST_STEPS = 1000


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the arguments of the command."""
    parser = verbs.add_parser("bench", help="time of a step with a structure, beside plain PET")
    add_model_options(parser)
    parser.add_argument(
        "structure", metavar="STRUCTURE", type=Path, help="any format that ASE reads; its first one"
    )
    parser.add_argument(
        "--repeat",
        metavar="AxBxC",
        default="1x1x1",
        help="cells along each vector (default: 1x1x1)",
    )
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="of timed steps for each row (default: 5)"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures to a file")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print a table of times.

    :raises PetDriverError: if an argument, the model or the structure is at fault
    """
    if arguments.json:
        check_folder_of(arguments.json)
    if not 0.0 < arguments.seconds < math.inf:
        raise PetDriverError(f"--seconds is {arguments.seconds}; give a positive number")
    atoms, cells = read_structures(arguments.structure)[0], _cells(arguments.repeat)
    if any(n > 1 and not vector.any() for n, vector in zip(cells, atoms.cell, strict=True)):
        raise PetDriverError(
            f"--repeat is {arguments.repeat}, but {arguments.structure} has no lattice vector in "
            "one of these directions; give 1 there"
        )
    atoms = atoms.repeat(cells)
    potential = load(arguments)
    print(f"{potential.name}, {potential.dtype} on {potential.device}, {len(atoms)} atoms")
    print(f"{'scope':12s}{'frames/atom':>12s}{'ms/step':>12s}{'us/atom':>12s}{'peak GB':>12s}")
    found = {}
    # Plain PET first: memory is the largest so far, and frames need more.
    for chosen in (*([potential.plain()] if potential.scope != "none" else []), potential):
        row = _measured(chosen, atoms, arguments.seconds)
        found[chosen.scope] = row
        print(f"{chosen.scope:12s}" + "".join(f"{value:12.4g}" for value in row.values()))
    if arguments.json:
        content = {"model": potential.name, "dtype": potential.dtype, "atoms": len(atoms)}
        content |= {"device": str(potential.device), "scopes": found}
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")
    return 0


def _measured(potential: Potential, atoms: Atoms, seconds: float) -> dict[str, float]:
    """Frames per atom, median time of a step and memory."""
    import numpy as np

    from ..diagnosis import peak_memory, step_times

    frames = 1.0
    if potential.scope != "none":
        frames = potential.frames(atoms).counts().double().mean().item()
    milliseconds = 1e3 * float(np.median(step_times(potential, atoms, seconds, _MOST_STEPS)))
    return {
        "frames per atom": frames,
        "ms per step": milliseconds,
        "us per atom": 1e3 * milliseconds / len(atoms),
        "peak memory, GB": peak_memory(potential),
    }


def _cells(text: str) -> tuple[int, int, int]:
    """Numbers of cells: "2x2x1" is (2, 2, 1).

    :raises PetDriverError: if these are not three positive numbers
    """
    parts: list[Any] = text.split("x")
    if len(parts) != 3 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise PetDriverError(f"--repeat is {text!r}; give three numbers, as in 2x2x1")
    first, second, third = (int(part) for part in parts)
    return first, second, third
