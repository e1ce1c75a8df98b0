"""Structures, potentials with random weights, and tables of the benchmarks of exact symmetry."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.io.lammpsdata import read_lammps_data
from results_file import write_results

from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import random_checkpoint
from pet_driver.frames import FrameConstants
from pet_driver.model import Hyperparameters

ROOT = Path(__file__).resolve().parent.parent
SPECIES = (1, 6, 8, 11, 14, 17, 29, 74)
DEFAULT = Hyperparameters(species=SPECIES)


def run_parts(parts: dict[str, Callable[[], None]], description: str) -> None:
    """Run the parts that the command line names, all of them without a name."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(parts))
    chosen = parser.parse_args().parts or list(parts)
    for name in chosen:
        if name not in parts:
            parser.error(f"{name!r} is not a part; choose from {', '.join(parts)}")
    warnings.simplefilter("ignore")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name in chosen:
        parts[name]()


def water() -> Atoms:
    """Liquid water of the LAMMPS example."""
    path = ROOT / "lammps_examples" / "water_nvt" / "water.data"
    atoms = read_lammps_data(path, units="metal", atom_style="atomic")
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)


def rattled(atoms: Atoms, amount: float = 0.05) -> Atoms:
    """Displace the atoms at random by `amount`, angstrom."""
    atoms.rattle(amount, seed=1)
    return atoms


def structures() -> dict[str, Atoms]:
    """Structures by name, with thermal disorder."""
    return {
        "liquid water, 192 atoms": water(),
        "silicon, 64 atoms": rattled(bulk("Si", cubic=True).repeat(2)),
        "fcc copper, 108 atoms": rattled(bulk("Cu", cubic=True).repeat(3)),
        "NaCl, 64 atoms": rattled(bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat(2)),
        "bcc tungsten, 54 atoms": rattled(bulk("W", cubic=True).repeat(3)),
        "ethanol, 9 atoms": rattled(molecule("CH3CH2OH")),
    }


def perfect_crystals() -> dict[str, Atoms]:
    """Crystals at rest, whose frames all tie."""
    return {
        "perfect silicon, 64 atoms": bulk("Si", cubic=True).repeat(2),
        "perfect fcc copper, 108 atoms": bulk("Cu", cubic=True).repeat(3),
        "perfect bcc tungsten, 54 atoms": bulk("W", cubic=True).repeat(3),
    }


def potential_of(
    scope: str,
    dtype: str = "float32",
    frames: FrameConstants = DEFAULT.frames,
    **options: float,
) -> Potential:
    """Potential with random weights and a dipole.

    :param options: others of `EvaluationOptions`
    """
    hyper = replace(DEFAULT, frames=frames, properties=(("dipole", 1),))
    return Potential(random_checkpoint(hyper), dtype=dtype, scope=scope, **options)


def record(part: str, results: object, threads: int | None = None) -> None:
    """Write the results of a part into a file of their own."""
    content = {"threads": threads or torch.get_num_threads(), "structures": results}
    print(f"\nwrote {write_results(f'ecse_{part}', content)}")


def print_table(title: str, header: list[str], rows: Iterable[list[str]]) -> None:
    """Print a table in Markdown."""
    print(f"\n{title}\n")
    for row in (header, ["---"] * len(header), *rows):
        print("| " + " | ".join(row) + " |")
