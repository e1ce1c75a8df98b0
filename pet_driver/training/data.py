"""Training data: frames from extxyz files, and their split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from ..errors import PetDriverError
from ..graph import System, check_structure
from . import units
from .labels import Labels, read_labels
from .options import DataOptions, TrainingOptions


@dataclass
class Frame:
    """One labelled structure; index: position in its file; source: name of that file; group: what
    it is counted with in tables of errors.
    """

    system: System
    labels: Labels
    index: int
    source: str = ""
    group: str = ""

    @property
    def volume(self) -> float:
        """angstrom^3"""
        return float(abs(np.linalg.det(self.system.cell)))


@dataclass
class Split:
    """Frames for fitting, for watching the fit, and held out from both."""

    training: list[Frame]
    validation: list[Frame]
    test: list[Frame]

    def indices(self) -> dict[str, list[int] | dict[str, list[int]]]:
        """Positions in the data file of the frames of each part; with several files, by file."""
        parts = {name: getattr(self, name) for name in ("training", "validation", "test")}
        if len({frame.source for part in parts.values() for frame in part}) <= 1:
            return {name: [frame.index for frame in part] for name, part in parts.items()}
        found: dict[str, dict[str, list[int]]] = {}
        for name, part in parts.items():
            found[name] = {}
            for frame in part:
                found[name].setdefault(frame.source, []).append(frame.index)
        return found


def read_split(folder: Path, options: DataOptions, ranks: dict[str, int] | None = None) -> Split:
    """Frames of all files that the options name, and who serves for what.

    :param ranks: of the covariant outputs of the model
    :raises PetDriverError: see `read_frames` and `split_frames`
    """

    def read(names: str | tuple[str, ...]) -> list[Frame]:
        listed = (names,) if isinstance(names, str) else names
        return [frame for x in listed for frame in read_frames(folder / x, options, ranks)]

    counts = [0 if isinstance(x, str | tuple) else x for x in (options.validation, options.test)]
    split = split_frames(read(options.file), *counts, options.seed, options.never_held_out)
    if isinstance(options.validation, str | tuple):
        split.validation = read(options.validation)
    if isinstance(options.test, str | tuple):
        split.test = read(options.test)
    return split


def read_frames(
    path: Path, options: DataOptions, ranks: dict[str, int] | None = None
) -> list[Frame]:
    """
    :param ranks: of the covariant outputs of the model
    :raises PetDriverError: if the file is missing, is not extxyz or holds no frame, a frame is not
        a structure, or lacks a label that it may not lack
    """
    try:
        structures = ase.io.read(path, index=":", format="extxyz")
    except FileNotFoundError as error:
        raise PetDriverError(
            f"there is no data file {path}; correct data.file or give --data-folder"
        ) from error
    except Exception as error:  # ASE's readers raise anything
        raise PetDriverError(
            f"the data file {path} cannot be read: {' '.join(str(error).split())}; give extxyz"
        ) from error
    if not structures:
        raise PetDriverError(f"the data file {path} is empty; give labelled structures in extxyz")
    name = Path(path).name
    return [_frame(a, options, ranks or {}, index, name) for index, a in enumerate(structures)]


def _frame(
    atoms: Atoms, options: DataOptions, ranks: dict[str, int], index: int, source: str
) -> Frame:
    unit = units.length_unit(options.length_unit)
    if unit != 1.0:
        atoms.set_cell(atoms.cell.array * unit)
        atoms.positions *= unit
    system = System.from_atoms(atoms)
    try:
        check_structure(system)
    except PetDriverError as error:
        raise PetDriverError(f"frame {index} of the data: {error}") from error
    group = atoms.info.get(options.group_key) if options.group_key else None
    return Frame(
        system,
        read_labels(atoms, options, ranks, index),
        index,
        source,
        atoms.get_chemical_formula() if group is None else str(group),
    )


def split_frames(
    frames: list[Frame], validation: int, test: int, seed: int, never_held_out: tuple[int, ...] = ()
) -> Split:
    """Random split; the same seed gives the same split.

    :param never_held_out: positions of frames that go to training wherever they were drawn
    :raises PetDriverError: if no frame would be left for training, or there is no such position
    """
    if never_held_out and max(never_held_out) >= len(frames):
        raise PetDriverError(
            f"data.never_held_out names frame {max(never_held_out)} of {len(frames)}; give "
            "positions "
            f"from 0 to {len(frames) - 1}"
        )
    held = validation + test
    if held >= len(frames):
        raise PetDriverError(
            f"{held} frames are set aside of {len(frames)}; lower data.validation or data.test "
            "so that some remain"
        )
    order = np.random.default_rng(seed).permutation(len(frames))
    parts = np.split(order, [test, held])
    drawn = [[i for i in part if i not in never_held_out] for part in parts]
    chosen = ([*drawn[2], *set(never_held_out)], drawn[1], drawn[0])
    return Split(*([frames[i] for i in sorted(part)] for part in chosen))


def species_of(frames: list[Frame]) -> tuple[int, ...]:
    """Atomic numbers that occur, ascending."""
    return tuple(sorted({int(z) for frame in frames for z in frame.system.numbers}))


def origin_of_data(options: TrainingOptions, split: Split) -> dict:
    """Lines of a model card: files and frames, and the model that the weights come from."""
    files = options.data.file
    names = [files] if isinstance(files, str) else list(files)
    found: dict = {
        "data": {
            "file": ", ".join(Path(name).name for name in names),
            "indices": split.indices(),
        }
    }
    if options.fit.start_from is not None:
        found["started_from"] = Path(options.fit.start_from).name
    return found
