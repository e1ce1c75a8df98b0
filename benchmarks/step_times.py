"""Time the steps of a calculator of ASE; imports nothing of this package.

PYTHON benchmarks/step_times.py mace|metatrain MODEL STRUCTURES [--repeats 15]

prints the milliseconds of a step for each structure of a file as JSON, in an environment that has
the program. `elsewhere` runs it there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ase.io
import numpy as np

REPEATS = 15


def main() -> None:
    """Time a model and print the result as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("program", choices=("mace", "metatrain"))
    parser.add_argument("model", type=Path)
    parser.add_argument("structures", type=Path)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    chosen = parser.parse_args()
    structures = ase.io.read(chosen.structures, index=":")
    found = step_times(calculator(chosen.program, chosen.model), structures, chosen.repeats)
    print(json.dumps(found))


def step_times(
    calculator: Any,  # noqa: ANN401 (of several packages)
    structures: Sequence[ase.Atoms],
    repeats: int = REPEATS,
) -> list[dict[str, float]]:
    """Median time of energy and forces of slightly different structures, as in dynamics."""
    rows: list[dict[str, float]] = []
    for structure in structures:
        atoms = structure.copy()
        atoms.calc = calculator
        rng, spent = np.random.default_rng(0), []
        for _ in range(repeats + 2):
            atoms.positions += rng.normal(scale=0.002, size=atoms.positions.shape)
            start = time.perf_counter()
            atoms.get_forces()
            spent.append(time.perf_counter() - start)
        rows.append({"atoms": len(atoms), "ms": 1e3 * float(np.median(spent[2:]))})
    return rows


def calculator(program: str, model: Path) -> Any:  # noqa: ANN401 (of several packages)
    """Calculator of ASE that the program offers, float32 on the CPU."""
    if program == "mace":
        from mace.calculators import MACECalculator

        return MACECalculator(model_paths=str(model), device="cpu", default_dtype="float32")
    from metatomic_ase import MetatomicCalculator
    from metatrain.utils.io import load_model

    return MetatomicCalculator(load_model(str(model)).export())


def elsewhere(
    python: Path, program: str, model: Path, structures: Path, environment: dict[str, str]
) -> list[dict[str, float]]:
    """The same times from another interpreter.

    :param environment: variables of its process
    """
    command = [str(python), __file__, program, str(model), str(structures)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    rows: list[dict[str, float]] = json.loads(done.stdout.strip().splitlines()[-1])
    return rows


if __name__ == "__main__":
    main()
