"""`pet-driver eval`: evaluate the structures in a file."""

from __future__ import annotations

import argparse
import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import PetDriverError
from .model_options import add_model_options, check_folder_of, load, read_structures

if TYPE_CHECKING:
    from ase import Atoms

    from ..evaluation.potential import Potential
    from ..evaluation.prediction import Prediction
    from ..training.data import Frame


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the arguments of the command."""
    parser = verbs.add_parser("eval", help="evaluate the structures of a file, write extxyz")
    add_model_options(parser)
    parser.add_argument("structures", metavar="IN", type=Path, help="any format that ASE reads")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, help="extxyz file to write")
    parser.add_argument(
        "--report",
        metavar="FOLDER",
        type=Path,
        help="compare with the labels of IN, which must be extxyz: errors per property and group, "
        "parity plots, rotation error",
    )
    add_label_options(parser)
    parser.add_argument(
        "--batch", type=int, default=4, help="structures evaluated at a time (default: 4)"
    )
    parser.set_defaults(run=run)


def add_label_options(parser: argparse.ArgumentParser) -> None:
    """Add names and units of the labels of the structures, as in options files of a training."""
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


def run(arguments: argparse.Namespace) -> None:
    """Evaluate the structures, write them and the report.

    :raises PetDriverError: if an argument, the model or a structure is at fault
    """
    _check(arguments)
    potential = load(arguments)
    structures = read_structures(arguments.structures)
    _check_structures(arguments.structures, structures, potential)
    labelled = [] if arguments.report is None else _labelled(arguments, potential)
    predictions = _predictions(potential, structures, arguments.batch)
    if arguments.report is not None:
        from ..training.report import compared, write_report

        print(write_report(arguments.report, potential, labelled, compared(labelled, predictions)))
        print(f"wrote the report into {arguments.report}")
    if arguments.output is not None:
        _write(arguments.output, structures, predictions)


def _check(arguments: argparse.Namespace) -> None:
    if arguments.batch < 1:
        raise PetDriverError(f"--batch is {arguments.batch}; give at least 1")
    if arguments.output is None and arguments.report is None:
        raise PetDriverError("nothing would be written; give --output FILE or --report FOLDER")
    if arguments.report is not None and arguments.report.is_file():
        raise PetDriverError(f"the report {arguments.report} is a file; give a folder")
    if arguments.report is None:
        _check_no_labels(arguments)
    if arguments.output is not None:
        check_folder_of(arguments.output)


def _check_no_labels(arguments: argparse.Namespace) -> None:
    """Check that nothing is said about labels, which are not read without --report."""
    labels = argparse.ArgumentParser()
    add_label_options(labels)
    for name, unused in vars(labels.parse_args([])).items():
        if getattr(arguments, name) != unused:
            flag = f"--{name.replace('_', '-')}"
            raise PetDriverError(
                f"{flag} is given, but labels are read for --report only; add --report FOLDER, "
                f"or leave {flag} out"
            )


def _check_structures(path: Path, structures: list[Atoms], potential: Potential) -> None:
    """Check all structures before any is evaluated.

    :raises PetDriverError: if one cannot be evaluated, with its position in the file
    """
    from ..graph import System, check_structure, species_indices

    for index, atoms in enumerate(structures):
        try:
            check_structure(System.from_atoms(atoms))
            species_indices(atoms.numbers, potential.species)
        except PetDriverError as error:
            raise PetDriverError(f"structure {index} of {path} (from 0): {error}") from error


def _predictions(potential: Potential, structures: list[Atoms], batch: int) -> list[Prediction]:
    """Predictions for all structures, with uncertainties where the model has them.

    :param batch: number of structures evaluated at a time
    """
    from ..runtime.progress import Progress

    predictions: list[Prediction] = []
    with Progress("evaluating", len(structures)) as progress:
        for start in range(0, len(structures), batch):
            part = structures[start : start + batch]
            found = potential.compute(part)
            if potential.has_uncertainty:
                values = potential.energy_uncertainty(part)
                found = [
                    dataclasses.replace(prediction, uncertainty=float(value))
                    for prediction, value in zip(found, values, strict=True)
                ]
            predictions += found
            progress.advance(steps=len(part))
    return predictions


def _labelled(arguments: argparse.Namespace, potential: Potential) -> list[Frame]:
    """Read the structures with their labels, before the work that would be compared with them."""
    try:
        from ..training.data import read_frames
        from ..training.options import DataOptions
    except ModuleNotFoundError as error:
        raise PetDriverError(
            f"--report needs {error.name}; install it with `pip install 'pet-driver[train]'`"
        ) from error
    ranks = potential.outputs
    keys = _property_keys(arguments.property_key, list(ranks))
    data = DataOptions(
        str(arguments.structures),
        energy_key=arguments.energy_key,
        forces_key=arguments.forces_key,
        stress_key=arguments.stress_key,
        property_keys=keys,
        group_key=arguments.group_key,
        energy_unit=arguments.energy_unit,
        forces_unit=arguments.forces_unit,
        stress_unit=arguments.stress_unit,
        may_lack=("energy", "forces", "stress", *keys),
    )
    try:
        frames = read_frames(arguments.structures, data, ranks)
    except PetDriverError as error:  # names options of a training, which are flags here
        reason = re.sub(r"data\.(\w+)", lambda x: f"--{x[1].replace('_', '-')}", str(error))
        raise PetDriverError(
            f"the labels of {arguments.structures} cannot be read: {reason}"
        ) from error
    _check_labels(arguments, frames)
    return frames


def _check_labels(arguments: argparse.Namespace, frames: list[Frame]) -> None:
    """Check that labels whose keys were given, and any labels, are there."""
    found = {
        "energy": any(f.labels.energy is not None for f in frames),
        "forces": any(f.labels.forces is not None for f in frames),
        "stress": any(f.labels.stress is not None for f in frames),
    }
    path = arguments.structures
    if not found["energy"] and not found["forces"]:
        raise PetDriverError(
            f"no structure of {path} has {arguments.energy_key!r} or {arguments.forces_key!r}; "
            "give --energy-key and --forces-key"
        )
    for name, is_there in found.items():
        key, default = getattr(arguments, f"{name}_key"), None if name == "stress" else name
        if not is_there and key != default:
            raise PetDriverError(f"no structure of {path} has {key!r}; correct --{name}-key")
    for pair in arguments.property_key:
        name, _, key = pair.partition("=")
        if not any(name in f.labels.properties for f in frames):
            raise PetDriverError(f"no structure of {path} has {key!r}; correct --property-key")


def _property_keys(pairs: list[str], outputs: list[str]) -> dict[str, str]:
    """Key of the label of each output, from words ``NAME=KEY``."""
    keys = {}
    for pair in pairs:
        name, separator, key = pair.partition("=")
        if not separator or name not in outputs:
            known = ", ".join(outputs) or "none"
            raise PetDriverError(
                f"--property-key is {pair!r}; give NAME=KEY with an output of the model ({known})"
            )
        keys[name] = key
    return keys


def _write(path: Path, structures: list[Atoms], predictions: list[Prediction]) -> None:
    import ase.io

    from ..engines.ase import attach_results

    attached = [attach_results(a, p) for a, p in zip(structures, predictions, strict=True)]
    ase.io.write(path, attached, format="extxyz")
    print(
        f"wrote {len(structures)} structures with energy, forces, stress and per-atom energies to "
        f"{path}"
    )
