"""`pet-driver symmetrize`: make a plain model exactly symmetric, without labels."""

from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import PetDriverError
from .model_options import add_choice_of_frames, check_model_output, read_structures

if TYPE_CHECKING:
    from ase import Atoms

    from ..distillation.measures import Reference


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb ``symmetrize`` to the command."""
    parser = verbs.add_parser(
        "symmetrize",
        help="make a plain model (converted, or trained in scope none) exactly symmetric in scope "
        "layer, without labels",
    )
    parser.add_argument(
        "model", metavar="MODEL", help="name of a shipped model, or path of a model file"
    )
    parser.add_argument(
        "structures",
        metavar="STRUCTURES",
        type=Path,
        help="structures like those to be simulated, in any format that ASE reads; labels in the "
        "file are not used, only compared with in the report",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, required=True, help="model file to write"
    )
    parser.add_argument(
        "--minutes", type=float, default=20.0, help="for labels and tuning (default: 20)"
    )
    parser.add_argument(
        "--sample",
        metavar="RUN",
        action="append",
        default=[],
        help="also take structures from dynamics with the plain model, such as 300K:2ps, or with a "
        "pressure 300K:1bar:2ps; may be repeated",
    )
    add_choice_of_frames(parser)
    parser.add_argument(
        "--parity", action="store_true", help="tune towards the average over mirror images too"
    )
    parser.add_argument("--learning-rate", type=float, help="of the tuning (default: 4e-4)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    parser.add_argument(
        "--folder",
        type=Path,
        help="where an interrupted run continues from (default: OUTPUT_symmetrize, beside OUTPUT)",
    )
    parser.add_argument(
        "--restart", action="store_true", help="begin anew even if the folder holds a state"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Symmetrize a model, write it, and print and draw the report.

    :raises PetDriverError: if an option, the model or a structure is at fault
    """
    from rich.console import Console

    _check(options)
    structures = read_structures(options.structures)
    from ..files.checkpoint import load_checkpoint, save_checkpoint
    from ..graph import System
    from ..training.pictures import can_draw

    try:
        from ..distillation import SampleRun, SymmetrizeOptions, symmetrize
    except ModuleNotFoundError as error:
        raise PetDriverError(
            f"symmetrize needs {error.name}; install it with `pip install 'pet-driver[train]'`"
        ) from error
    folder = options.folder or options.output.with_name(f"{options.output.stem}_symmetrize")
    chosen = SymmetrizeOptions(
        options.minutes,
        tuple(SampleRun.parse(words) for words in options.sample),
        options.frames,
        options.parity,
        device=options.device,
    )
    if options.learning_rate is not None:
        chosen = dataclasses.replace(chosen, learning_rate=options.learning_rate)
    model, report = symmetrize(
        load_checkpoint(options.model),
        [System.from_atoms(atoms) for atoms in structures],
        folder,
        chosen,
        [reference_of(atoms) for atoms in structures],
        options.restart,
    )
    save_checkpoint(model, options.output)
    Console().print(report.table())
    for sentence in report.sentences():
        print(sentence)
    if can_draw():
        picture = options.output.with_suffix(".png")
        report.draw(picture, folder / "tuning" / "log.csv")
        print(f"picture: {picture}")
    print(f"wrote {options.output}; it runs in scope layer, exactly symmetric")


def _check(options: argparse.Namespace) -> None:
    """Check the options.

    :raises PetDriverError: if one is not possible
    """
    check_model_output(options.output)
    if options.output.resolve() == Path(options.model).resolve():
        raise PetDriverError(
            f"--output is {options.output}, the plain model itself; give another file"
        )
    for name in ("minutes", "learning_rate"):
        value = getattr(options, name)
        if value is not None and not 0.0 < value < math.inf:
            flag = name.replace("_", "-")
            raise PetDriverError(f"--{flag} is {value}; give a number above 0")


def _are_numbers(label: object) -> bool:
    """Whether a label is finite, and not a word such as "unknown"."""
    import numpy as np

    values = np.asarray(label)
    return values.dtype.kind in "iuf" and bool(np.isfinite(values).all())


def reference_of(atoms: Atoms) -> Reference:
    """Energy and forces that the file of a structure gives, for the report."""
    import numpy as np

    from ..distillation.measures import Reference

    known = {**atoms.info, **atoms.arrays, **(atoms.calc.results if atoms.calc else {})}
    energy, forces = known.get("energy"), known.get("forces")
    if forces is None or not _are_numbers(forces) or np.shape(forces) != (len(atoms), 3):
        forces = None
    if energy is None or not _are_numbers(energy) or np.size(energy) != 1:
        energy = None
    return Reference(
        None if energy is None else float(np.asarray(energy, dtype=np.float64).item()),
        None if forces is None else np.asarray(forces, dtype=np.float64),
    )
