"""Training data: frames from extxyz files, and their split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from ..errors import PetDriverError
from ..graph import System, check_structure
from . import units
from .labels import Labels, read_labels
from .options import DataOptions


@dataclass
class Frame:
    """One labelled structure.

    index: position in its file; source: that file, as the options name it; group: name of the group
    that it belongs to in tables of errors.
    """

    system: System
    labels: Labels
    index: int
    source: str = ""
    group: str = ""

    @property
    def volume(self) -> float:
        """Volume of the cell, angstrom^3; zero without one."""
        return float(abs(np.linalg.det(self.system.cell)))

    def digest(self) -> bytes:
        """SHA-256 of the structure and its labels."""
        found, system, labels = hashlib.sha256(), self.system, self.labels
        named = {
            "numbers": system.numbers,
            "positions": system.positions,
            "cell": system.cell,
            "pbc": system.pbc,
            "forces": labels.forces,
            "stress": labels.stress,
            "energies of atoms": labels.atom_energies,
            **labels.properties,
        }
        for name, values in named.items():
            content = b"" if values is None else np.ascontiguousarray(values).tobytes()
            found.update(f"{name} {len(content)} ".encode() + content)
        found.update(repr((labels.energy, system.charge, system.spin)).encode())
        return found.digest()


@dataclass
class Split:
    """Frames to fit, frames to watch the fit with, and frames held out from both."""

    training: list[Frame]
    validation: list[Frame]
    test: list[Frame]

    @property
    def frames(self) -> list[Frame]:
        """Frames of all parts."""
        return [*self.training, *self.validation, *self.test]

    def digest(self) -> str:
        """SHA-256 of the structures and their labels, part by part."""
        found = hashlib.sha256()
        for part in (self.training, self.validation, self.test):
            found.update(len(part).to_bytes(8, "little"))
            for frame in part:
                found.update(frame.digest())
        return found.hexdigest()

    def repeated(self) -> int:
        """Number of frames of the held-out parts that are among those to fit."""
        fitted = {frame.digest() for frame in self.training}
        return sum(frame.digest() in fitted for frame in (*self.validation, *self.test))

    def indices(self) -> dict[str, list[int]] | dict[str, dict[str, list[int]]]:
        """Positions in the data file of the frames of each part; with several files, by file."""
        parts = {"training": self.training, "validation": self.validation, "test": self.test}
        if len({frame.source for frame in self.frames}) <= 1:
            return {name: [frame.index for frame in part] for name, part in parts.items()}
        found: dict[str, dict[str, list[int]]] = {}
        for name, part in parts.items():
            found[name] = {}
            for frame in part:
                found[name].setdefault(frame.source, []).append(frame.index)
        return found


def read_split(folder: Path, options: DataOptions, ranks: dict[str, int] | None = None) -> Split:
    """Frames of all files that the options name, divided into training, validation and test.

    :param ranks: numbers of indices of the covariant outputs of the model, by name
    :raises PetDriverError: see `read_frames` and `split_frames`
    """

    def read(names: str | tuple[str, ...]) -> list[Frame]:
        listed = (names,) if isinstance(names, str) else names
        return [frame for x in listed for frame in read_frames(folder / x, options, ranks, x)]

    validation, test = options.validation, options.test
    split = split_frames(
        read(options.file),
        validation if isinstance(validation, int) else 0,
        test if isinstance(test, int) else 0,
        options.seed,
        options.never_held_out,
    )
    if not isinstance(validation, int):
        split.validation = read(validation)
    if not isinstance(test, int):
        split.test = read(test)
    return split


def read_frames(
    path: Path, options: DataOptions, ranks: dict[str, int] | None = None, source: str = ""
) -> list[Frame]:
    """Labelled structures of one file.

    :param ranks: numbers of indices of the covariant outputs of the model, by name
    :param source: what the file is called in cards and tables
    :raises PetDriverError: if the file is missing, is not extxyz or holds no frame, a frame is not
        a structure, or lacks a label that it must have
    """
    try:
        structures = ase.io.read(path, index=":", format="extxyz", do_not_split_by_at_sign=True)
    except FileNotFoundError as error:
        raise PetDriverError(
            f"there is no data file {path}; correct data.file or give --data-folder"
        ) from error
    except Exception as error:  # ASE raises errors of any kind for a damaged file
        raise PetDriverError(
            f"the data file {path} cannot be read: {' '.join(str(error).split())}; give extxyz"
        ) from error
    if not structures:
        raise PetDriverError(f"the data file {path} is empty; give labelled structures in extxyz")
    source = source or Path(path).name
    return [_frame(a, options, ranks or {}, index, source) for index, a in enumerate(structures)]


def _frame(
    atoms: Atoms, options: DataOptions, ranks: dict[str, int], index: int, source: str
) -> Frame:
    unit = units.length_unit(options.length_unit)
    if unit != 1.0:
        atoms.cell[:] = atoms.cell.array * unit
        atoms.positions *= unit
    system = System.from_atoms(atoms)
    try:
        check_structure(system)
    except PetDriverError as error:
        raise PetDriverError(f"frame {index} of {source}: {error}") from error
    labels = read_labels(atoms, options, ranks, f"{index} of {source}")
    group = atoms.info.get(options.group_key) if options.group_key else None
    if group is None:
        group = atoms.get_chemical_formula()
    return Frame(system, labels, index, source, str(group))


def split_frames(
    frames: list[Frame], validation: int, test: int, seed: int, never_held_out: tuple[int, ...] = ()
) -> Split:
    """Random split; the same seed gives the same split.

    :param validation: number of frames; test: likewise
    :param never_held_out: positions of frames that stay in training even if drawn
    :raises PetDriverError: if no frame would be left for training, or there is no such position
    """
    if never_held_out and max(never_held_out) >= len(frames):
        raise PetDriverError(
            f"data.never_held_out names frame {max(never_held_out)} of {len(frames)}; give "
            f"positions from 0 to {len(frames) - 1}"
        )
    held = validation + test
    if held >= len(frames):
        raise PetDriverError(
            f"{held} frames are set aside of {len(frames)}; lower data.validation or data.test "
            "so that some remain"
        )
    order = np.random.default_rng(seed).permutation(len(frames))
    parts = np.split(order, [test, held])
    drawn = [[int(i) for i in part if i not in never_held_out] for part in parts]
    chosen = ([*drawn[2], *set(never_held_out)], drawn[1], drawn[0])
    training, watched, held_out = ([frames[i] for i in sorted(part)] for part in chosen)
    return Split(training, watched, held_out)


def species_of(frames: Sequence[Frame]) -> tuple[int, ...]:
    """Atomic numbers that occur, ascending."""
    return tuple(sorted({int(z) for frame in frames for z in frame.system.numbers}))


def thinned(frames: list[Frame], count: int) -> list[Frame]:
    """At most `count` frames, evenly chosen."""
    chosen = min(count, len(frames))
    return [frames[k * len(frames) // chosen] for k in range(chosen)]
