"""Compare the first step and the speed of water run with pet-lmp, fix python, ML-IAP and ASE.

python benchmarks/four_ways.py [--ranks 2] [--steps 20]

The LAMMPS with PYTHON and ML-IAP is the one that tests/lammps_build/install.sh builds; without it,
fix python and ML-IAP are skipped. Prints a table and writes results/four_ways.json.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from ase import Atoms, units
from ase.io.lammpsdata import read_lammps_data
from ase.md.verlet import VelocityVerlet
from results_file import write_results

from pet_driver.cli.main import main as pet_driver
from pet_driver.engines.ase import PETCalculator

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "lammps_examples"
DATA = EXAMPLES / "water_nvt" / "water.data"
BIN = Path(sys.executable).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
BUILD = Path(os.environ.get("PET_LAMMPS") or CACHE / "pet-driver" / "lammps")
BAR, BOLTZMANN = 1602176.5, 8.617343e-5  # LAMMPS' constants for metal units


def main() -> None:
    """Run all ways and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    rows = {"ASE": with_ase(options.steps, options.ranks)}
    with tempfile.TemporaryDirectory() as scratch:
        stub = Path(scratch) / "water.mliap.pt"
        pet_driver(["export-mliap", "water", "-o", str(stub), "--dtype", "float64"])
        double = ["-var", "dtype", "float64"]
        ways = {
            "pet-lmp": ("water_nvt", [BIN / "pet-lmp"], double),
            "fix python": ("fix_python", [BUILD / "bin" / "lmp"], double),
        }
        for route in ("exchange", "wide"):
            stubs = ["-var", "stub", str(stub), "-var", "route", route]
            ways[f"ML-IAP, {route}"] = ("ml_iap", [BUILD / "bin" / "lmp"], stubs)
        for name, (example, program, variables) in ways.items():
            if program[0].exists():
                command = [*program, "-in", EXAMPLES / example / "in.lmp", "-log", "none"]
                command += ["-var", "data", DATA, "-var", "steps", options.steps, *variables]
                rows[name] = with_lammps(command, options.ranks, Path(scratch))
            else:
                print(f"{name} is skipped: there is no {program[0]}")
    print(f"\nLAMMPS on {options.ranks} ranks with one thread each, ASE with as many threads\n")
    print("| way | energy, eV | pressure, bar | norm of forces, eV/angstrom | ms/step |")
    print("|---|---|---|---|---|")
    for name, (energy, pressure, norm, seconds) in rows.items():
        print(f"| {name} | {energy:.9f} | {pressure:.6f} | {norm:.11f} | {1e3 * seconds:.0f} |")
    first = np.array([row[:3] for row in rows.values()])
    largest = float(np.abs(first / first[0] - 1.0).max())
    print(f"\nlargest relative difference: {largest:.1e}")
    keys = ("energy, eV", "pressure, bar", "norm of forces, eV/angstrom")
    results = {
        "ranks": options.ranks,
        "largest relative difference": largest,
        "ways": [
            {
                "way": name,
                **dict(zip(keys, map(repr, row[:3]), strict=True)),
                "ms/step": 1e3 * row[3],
            }
            for name, row in rows.items()
        ],
    }
    print(f"wrote {write_results('four_ways', results)}")


def with_ase(steps: int, n_threads: int) -> tuple[float, float, float, float]:
    """Energy, pressure with the kinetic part at 300 K, norm of forces, seconds per step."""
    read = read_lammps_data(DATA, units="metal", atom_style="atomic")
    atoms = Atoms(read.numbers, read.positions, cell=read.cell, pbc=True)
    torch.set_num_threads(n_threads)
    atoms.calc = PETCalculator("water", dtype="float64")
    stress = atoms.get_stress(voigt=False)
    kinetic = (len(atoms) - 1) * BOLTZMANN * 300.0 / atoms.get_volume()
    pressure = float(kinetic - np.trace(stress) / 3.0) * BAR
    energy, norm = atoms.get_potential_energy(), float(np.linalg.norm(atoms.get_forces()))
    dynamics = VelocityVerlet(atoms, 0.5 * units.fs)
    start = time.perf_counter()
    dynamics.run(steps)
    return energy, pressure, norm, (time.perf_counter() - start) / steps


def with_lammps(command: list, ranks: int, folder: Path) -> tuple[float, float, float, float]:
    """Return the same from the first thermo line and the loop time of LAMMPS."""
    words = [BIN / "mpiexec", "-n", ranks, *command]
    setting = f"source {BUILD / 'env.sh'}; " if str(BUILD) in str(command[0]) else ""
    result = subprocess.run(
        ["bash", "-c", setting + 'exec "$@"', "bash", *map(str, words)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        sys.exit(f"{command[0]} ended with code {result.returncode}:\n{result.stdout[-2000:]}")
    lines = result.stdout.splitlines()
    start = next(k for k, line in enumerate(lines) if line.split()[:2] == ["Step", "Temp"])
    values = dict(zip(lines[start].split(), lines[start + 1].split(), strict=True))
    seconds, steps = re.search(
        r"Loop time of (\S+) on \d+ procs for (\d+) steps", result.stdout
    ).groups()
    first = (float(values[name]) for name in ("PotEng", "Press", "Fnorm"))
    return (*first, float(seconds) / int(steps))


if __name__ == "__main__":
    main()
