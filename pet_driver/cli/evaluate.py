"""`pet-driver eval`: energies, forces, stress and per-atom energies of the structures in a file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import PetDriverError
from .model_options import add_model_options, load, read_structures

if TYPE_CHECKING:
    from ase import Atoms

    from ..evaluation.potential import Potential
    from ..evaluation.prediction import Prediction
    from ..training.data import Frame


def add_parser(verbs: argparse._SubParsersAction) -> None:
    parser = verbs.add_parser("eval", help="evaluate the structures of a file, write extxyz")
    add_model_options(parser)
    parser.add_argument("structures", metavar="IN", type=Path, help="any format that ASE reads")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, help="extxyz file to write")
    parser.add_argument(
        "--report",
        metavar="FOLDER",
        type=Path,
        help="compare with the labels of IN: errors per property and group, parity plots, "
        "rotation error",
    )
    add_label_options(parser)
    parser.add_argument(
        "--batch", type=int, default=4, help="structures evaluated at a time (default: 4)"
    )
    parser.set_defaults(run=run)


def add_label_options(parser: argparse.ArgumentParser) -> None:
    """What the labels of the structures are called and measured in, as in options files."""
    labels = parser.add_argument_group("labels, for --report")
    labels.add_argument("--energy-key", default="energy", metavar="KEY")
    labels.add_argument("--forces-key", default="forces", metavar="KEY")
    labels.add_argument("--stress-key", metavar="KEY", help="default: no stress is compared")
    labels.add_argument(
        "--property-key",
        action="append",
        default=[],
        metavar="NAME=KEY",
        help="label of a covariant output, as in dipole=dipole",
    )
    labels.add_argument("--group-key", metavar="KEY", help="what to group by; default: composition")
    labels.add_argument("--energy-unit", default="eV", metavar="UNIT")
    labels.add_argument("--forces-unit", metavar="UNIT")
    labels.add_argument("--stress-unit", metavar="UNIT")


def run(options: argparse.Namespace) -> None:
    from ..runtime.progress import Progress

    _check(options)
    potential = load(options)
    labelled = [] if options.report is None else _labelled(options, potential)
    frames = read_structures(options.structures)
    predictions = []
    with Progress("evaluating", len(frames)) as progress:
        for start in range(0, len(frames), options.batch):
            part = frames[start : start + options.batch]
            found = potential.compute(part)
            if potential.knows_uncertainty:
                for prediction, value in zip(
                    found, potential.energy_uncertainty(part), strict=True
                ):
                    prediction.uncertainty = float(value)
            predictions += found
            progress.advance(steps=len(part))
    if options.report is not None:
        from ..training.report import compared, write_report

        print(write_report(options.report, potential, labelled, compared(labelled, predictions)))
        print(f"wrote the report into {options.report}")
    if options.output is not None:
        _write(options.output, frames, predictions)


def _check(options: argparse.Namespace) -> None:
    if options.batch < 1:
        raise PetDriverError(f"--batch is {options.batch}; give at least 1")
    if options.output is None and options.report is None:
        raise PetDriverError("nothing would be written; give --output FILE or --report FOLDER")
    if options.report is not None and options.report.is_file():
        raise PetDriverError(f"the report {options.report} is a file; give a folder")
    if options.output is None:
        return
    if not options.output.parent.is_dir():
        raise PetDriverError(f"there is no folder {options.output.parent}; make it first")
    if options.output.is_dir():
        raise PetDriverError(f"the output {options.output} is a folder; give the name of a file")


def _labelled(options: argparse.Namespace, potential: Potential) -> list[Frame]:
    """The structures with their labels, before the work that would be compared with them."""
    try:
        from ..training.data import read_frames
        from ..training.options import DataOptions
    except ModuleNotFoundError as error:
        raise PetDriverError(
            f"--report needs {error.name}; install it with `pip install pet-driver[train]`"
        ) from error
    ranks = dict(potential.hyper.properties)
    keys = {}
    for pair in options.property_key:
        name, separator, key = pair.partition("=")
        if not separator or name not in ranks:
            known = ", ".join(ranks) or "none"
            raise PetDriverError(
                f"--property-key is {pair!r}; give NAME=KEY with an output of the model ({known})"
            )
        keys[name] = key
    data = DataOptions(
        str(options.structures),
        energy_key=options.energy_key,
        forces_key=options.forces_key,
        stress_key=options.stress_key,
        property_keys=keys,
        group_key=options.group_key,
        energy_unit=options.energy_unit,
        forces_unit=options.forces_unit,
        stress_unit=options.stress_unit,
        may_lack=("energy", "forces", "stress", *keys),
    )
    frames = read_frames(options.structures, data, ranks)
    if all(f.labels.energy is None and f.labels.forces is None for f in frames):
        raise PetDriverError(
            f"no structure of {options.structures} has {options.energy_key!r} or "
            f"{options.forces_key!r}; give --energy-key and --forces-key"
        )
    return frames


def _write(path: Path, frames: list[Atoms], predictions: list[Prediction]) -> None:
    import ase.io

    from ..engines.ase import attach_results

    attached = [attach_results(a, p) for a, p in zip(frames, predictions, strict=True)]
    ase.io.write(path, attached, format="extxyz")
    print(
        f"wrote {len(frames)} structures with energy, forces, stress and per-atom energies to "
        f"{path}"
    )
