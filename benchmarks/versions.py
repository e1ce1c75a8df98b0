"""Time two versions of pet_driver against each other, in processes that take turns.

python benchmarks/versions.py OLD [NEW] [--model FILE] [--repeats 3] [--steps 10] [--only NAME ...]

OLD and NEW are checkouts (NEW: this one if it is not given). Both load the same model, hence with
the same frames: FILE, by default the model `water` of OLD. Cases: energy, forces and virial of
liquid water (scope layer, float32), 192 and 1029 atoms, on one and on two threads; one step of
training on two boxes of 192 atoms with one drawn frame per centre ("sampled") and with all frames.
For each case a process with either version runs; they make single steps in turn, and each pair of
steps gives a ratio new/old, of wall-clock time and of CPU time. Prints the medians with the
quartiles of the ratios, and writes benchmarks/results/versions.json. Ratios of CPU time are less
disturbed by other programs on the machine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import ase.io
from ase import Atoms
from ase.io.lammpsdata import read_lammps_data
from make_water_box import length, thermal_water
from results_file import write_results
from structure import commit_of
from taking_turns import Stepper

from pet_driver.runtime.progress import Progress

ROOT = Path(__file__).resolve().parent.parent
CHILD = Path(__file__).with_name("versions_case.py")
WATER = Path("pet_driver") / "models" / "water.safetensors"  # of a checkout
MODEL = "model.safetensors"  # copy of it in the folder of the structures
DATA = ROOT / "lammps_examples" / "water_nvt" / "water.data"
PER_SIDE = 7  # molecules a side of the box of 1029 atoms
WARM_UP = 2  # steps of each process that are not counted
# Options of versions_case.py, and the number of threads.
CASES: dict[str, tuple[list[str], int]] = {
    "192 atoms, 1 thread": (["evaluation", "--structure", "192.xyz"], 1),
    "192 atoms, 2 threads": (["evaluation", "--structure", "192.xyz"], 2),
    "1029 atoms, 1 thread": (["evaluation", "--structure", "1029.xyz"], 1),
    "1029 atoms, 2 threads": (["evaluation", "--structure", "1029.xyz"], 2),
    "training, sampled": (["training"], 1),
    "training, all frames": (["training", "--all-frames"], 1),
}


def started(words: list[str], checkout: Path, threads: int, log: Path) -> Stepper:
    """A process with one version.

    :param words: arguments of versions_case.py but for the checkout and the number of threads
    """
    command = [sys.executable, str(CHILD), *words, "--checkout", str(checkout)]
    command += ["--threads", str(threads)]
    return Stepper(f"the version in {checkout}", command, log, environment(checkout, threads))


@dataclass
class Measured:
    """Steps of one case: (seconds, CPU seconds) of either version, in pairs."""

    old: list[tuple[float, float]] = field(default_factory=list)
    new: list[tuple[float, float]] = field(default_factory=list)

    def ratios(self, column: int) -> list[float]:
        """New over old of each pair of steps; column 0: wall-clock time, 1: CPU time."""
        return [new[column] / old[column] for old, new in zip(self.old, self.new, strict=True)]

    def summary(self) -> dict[str, Any]:
        """Medians in ms, and median and quartiles of the ratios."""
        result: dict[str, Any] = {
            "pairs": len(self.old),
            "old_ms": round(1e3 * statistics.median(wall for wall, _ in self.old), 2),
            "new_ms": round(1e3 * statistics.median(wall for wall, _ in self.new), 2),
        }
        for column, name in enumerate(("wall", "cpu")):
            low, middle, high = statistics.quantiles(self.ratios(column), n=4, method="inclusive")
            result[f"{name}_ratio"] = round(middle, 4)
            result[f"{name}_ratio_quartiles"] = [round(low, 4), round(high, 4)]
        return result


def main() -> None:
    """Measure all cases, print a table and write the JSON file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path, metavar="OLD", help="checkout to compare with")
    parser.add_argument("new", type=Path, metavar="NEW", nargs="?", default=ROOT)
    parser.add_argument("--model", type=Path, help="default: the model `water` of OLD")
    parser.add_argument("--repeats", type=int, default=3, help="processes per case (default: 3)")
    parser.add_argument("--steps", type=int, default=10, help="pairs per process (default: 10)")
    parser.add_argument("--only", nargs="+", choices=CASES, metavar="NAME", default=list(CASES))
    options = parser.parse_args()
    for folder in (options.old, options.new):
        if not (folder / "pet_driver" / "__init__.py").exists():
            parser.error(f"{folder} has no package pet_driver; give a checkout")
    model = options.model or options.old / WATER
    if not model.is_file():
        parser.error(f"there is no model file {model}; give another with --model")
    if options.repeats * options.steps < 2:
        parser.error("ratios need at least two pairs of steps; give more --repeats or --steps")
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copy(model, Path(scratch) / MODEL)
        prepare(Path(scratch), options.old, options.only)
        measured = measure(options, Path(scratch))
    results = {name: case.summary() for name, case in measured.items()}
    print_table(results)
    versions = {"old": commit_of(options.old), "new": commit_of(options.new)}
    path = write_results("versions", {"commits": versions, "cases": results})
    print(f"\nwritten: {path}")


def prepare(folder: Path, old: Path, only: list[str]) -> None:
    """Write the boxes, and the labels that the old version gives."""
    read = read_lammps_data(DATA, units="metal", atom_style="atomic")
    small = Atoms(read.numbers, read.positions, cell=read.cell, pbc=True)
    ase.io.write(folder / "192.xyz", small, format="extxyz")
    if any("1029" in name for name in only):
        n_molecules, edge = PER_SIDE**3, length(PER_SIDE)
        positions = thermal_water(PER_SIDE, 2.0)
        large = Atoms("OHH" * n_molecules, positions, cell=[edge] * 3, pbc=True)
        ase.io.write(folder / "1029.xyz", large, format="extxyz")
    if any("training" in name for name in only):
        command = [sys.executable, str(CHILD), "label", str(folder), "--checkout", str(old)]
        command += ["--model", str(folder / MODEL)]
        subprocess.run(command, env=environment(old, 1), check=True)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Measured]:
    """Run all cases, each with new processes in every repetition."""
    measured = {name: Measured() for name in options.only}
    total = options.repeats * options.steps * len(measured)
    with Progress("pairs of steps", total) as progress:
        for _ in range(options.repeats):
            for name, case in measured.items():
                words, threads = CASES[name]
                words = [words[0], str(folder), *words[1:], "--model", str(folder / MODEL)]
                pair = [
                    started(words, checkout, threads, folder / f"{which}.log")
                    for which, checkout in (("old", options.old), ("new", options.new))
                ]
                try:
                    take_turns(pair, case, options.steps, partial(progress.advance, name))
                finally:
                    for version in pair:
                        version.close()
    return measured


def take_turns(
    pair: list[Stepper], case: Measured, steps: int, advance: Callable[[], object]
) -> None:
    """Make steps of both versions in turn; which is first changes with every step."""
    old, new = pair
    for _ in range(WARM_UP):
        old.step()
        new.step()
    for k in range(steps):
        if k % 2 == 0:
            case.old.append(old.step())
        case.new.append(new.step())
        if k % 2:
            case.old.append(old.step())
        advance()


def environment(checkout: Path, threads: int) -> dict[str, str]:
    """Variables of a process with the version and the number of threads."""
    count = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    return {**os.environ, "PYTHONPATH": str(checkout.resolve()), **count}


def print_table(results: dict[str, dict[str, Any]]) -> None:
    """Medians of both versions and their ratios, with the quartiles of the pairs."""
    print(
        "\n| case | old, ms | new, ms | new / old | quartiles | CPU time, new / old | quartiles |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, row in results.items():
        cells = [name, f"{row['old_ms']:.1f}", f"{row['new_ms']:.1f}"]
        for kind in ("wall", "cpu"):
            low, high = row[f"{kind}_ratio_quartiles"]
            cells += [f"{row[f'{kind}_ratio']:.3f}", f"{low:.3f} to {high:.3f}"]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
