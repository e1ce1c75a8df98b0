"""Training data: frames from extxyz, the split, and the per-element baseline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from ..errors import PetDriverError
from ..structure import System, check_structure
from .options import DataOptions


@dataclass
class Frame:
    """One labelled structure: energy in eV, forces (n_atoms, 3) in eV/angstrom; index: position in
    the file.
    """

    system: System
    energy: float
    forces: np.ndarray
    index: int


@dataclass
class Split:
    """Frames for fitting, for watching the fit, and held out from both."""

    training: list[Frame]
    validation: list[Frame]
    test: list[Frame]

    def indices(self) -> dict[str, list[int]]:
        """Positions in the data file of the frames of each part."""
        return {
            name: [frame.index for frame in getattr(self, name)]
            for name in ("training", "validation", "test")
        }


def read_frames(path: Path, options: DataOptions) -> list[Frame]:
    """
    :raises PetDriverError: if the file is missing, is not extxyz or holds no frame, a frame is not
        a structure, or lacks the energy or the forces
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
    return [_frame(atoms, options, index) for index, atoms in enumerate(structures)]


def _frame(atoms: Atoms, options: DataOptions, index: int) -> Frame:
    system = System.from_atoms(atoms)
    try:
        check_structure(system)
    except PetDriverError as error:
        raise PetDriverError(f"frame {index} of the data: {error}") from error
    energy = _numbers(atoms, options.energy_key, "info", index, ())
    forces = _numbers(atoms, options.forces_key, "arrays", index, (len(atoms), 3))
    return Frame(system, float(energy), forces, index)


def _numbers(atoms: Atoms, key: str, kind: str, index: int, shape: tuple[int, ...]) -> np.ndarray:
    label = _label(atoms, key, kind, index)
    try:
        values = np.asarray(label, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise PetDriverError(
            f"frame {index} has {label!r} for {key!r}; it must be a number"
        ) from error
    if values.shape != shape:
        raise PetDriverError(
            f"frame {index} has {key!r} of shape {values.shape}; it must be {shape}, "
            "one energy, and three components of the force on each atom"
        )
    if not np.isfinite(values).all():
        raise PetDriverError(
            f"frame {index} has {values[~np.isfinite(values)].flat[0]} in {key!r}; "
            "correct it or take the frame out"
        )
    return values


def _label(atoms: Atoms, key: str, kind: str, index: int) -> float | np.ndarray:
    # ASE moves keys that it knows, such as "energy", from the file into a calculator.
    known = dict(getattr(atoms, kind))
    if atoms.calc is not None:
        known.update(atoms.calc.results)
    if key not in known:
        raise PetDriverError(
            f"frame {index} has no {key!r}; it has {', '.join(sorted(known)) or 'no labels'}"
        )
    return known[key]


def split_frames(frames: list[Frame], options: DataOptions) -> Split:
    """Random split; the same seed gives the same split.

    :raises PetDriverError: if no frame would be left for training
    """
    held = options.validation + options.test
    if held >= len(frames):
        raise PetDriverError(
            f"{held} frames are set aside of {len(frames)}; lower data.validation or data.test "
            "so that some remain"
        )
    order = np.random.default_rng(options.seed).permutation(len(frames))
    test, validation, training = np.split(order, [options.test, held])
    return Split(*([frames[i] for i in sorted(part)] for part in (training, validation, test)))


def species_of(frames: list[Frame]) -> tuple[int, ...]:
    """Atomic numbers that occur, ascending."""
    return tuple(sorted({int(z) for frame in frames for z in frame.system.numbers}))


def fit_baseline(frames: list[Frame], species: tuple[int, ...]) -> list[float]:
    """Energy per element that explains the total energies best, eV.

    The least-squares solution of smallest norm, so that data of a single composition is no problem.
    """
    counts = np.array(
        [[np.count_nonzero(f.system.numbers == z) for z in species] for f in frames],
        dtype=np.float64,
    )
    energies = np.array([frame.energy for frame in frames])
    solution, *_ = np.linalg.lstsq(counts, energies, rcond=None)
    return [float(x) for x in solution]


def describe_baseline(baseline: list[float], species: tuple[int, ...]) -> dict[str, float]:
    """Baseline by symbol of the element, for the model card."""
    return {chemical_symbols[z]: round(e, 6) for z, e in zip(species, baseline, strict=True)}
