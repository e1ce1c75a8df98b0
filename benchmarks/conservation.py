"""Measure how well molecular dynamics conserves energy: NVE in float64, one model beside another.

python benchmarks/conservation.py silicon|water [--models NAME|FILE ...] [--frames NAME ...]
    [--picoseconds 10] [--settle 1] [--name NAME] [--add]

64 atoms of silicon with a time step of 1 fs, or 192 atoms of water with 0.5 fs, after --settle
picoseconds at 300 K with a thermostat and the first model: as a box warms up or cools down, the
energy that the integrator conserves changes its distance from the total energy. Each model
(default: the shipped one) runs with its own frame constants, or with each of those that are named.
Models of version 0.1 come out of the history:
`git show 03e352e^:pet_driver/models/water.safetensors > water_before.safetensors`.
Prints frames per atom, drift by a linear fit and its statistical error, the largest distance of the
total energy from that line, time per step, and the mean temperature of the first and the last
fifth; writes results/conservation_NAME.json (default: the case), after each run. With --add, the
runs that the file holds already stay in it.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.io.lammpsdata import read_lammps_data
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
from ase.md.verlet import VelocityVerlet
from energy_fit import fitted
from results_file import RESULTS, write_results

from pet_driver.engines.ase import PETCalculator
from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import load_checkpoint
from pet_driver.runtime.progress import Progress

WATER = Path(__file__).resolve().parent.parent / "lammps_examples" / "water_nvt" / "water.data"
KELVIN = 300.0
COLUMNS = (
    "frames per atom",
    "drift, meV/atom/ns",
    "error of the drift, meV/atom/ns",
    "farthest, meV/atom",
    "ms/step",
    "temperature at first, K",
    "temperature at last, K",
)
_EVERY = 20  # steps between two samples of the number of frames and the temperature
_FRICTION = 0.02  # of the thermostat, 1/fs


@dataclass(frozen=True)
class Case:
    """Atoms, and the time step, fs."""

    atoms: Atoms
    time_step: float


def main() -> None:
    """Run dynamics with all models and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("case", choices=("silicon", "water"))
    parser.add_argument("--models", nargs="+", metavar="MODEL")
    parser.add_argument("--frames", nargs="+", metavar="NAME", default=[None])
    parser.add_argument("--picoseconds", type=float, default=10.0)
    parser.add_argument("--settle", type=float, default=1.0, help="picoseconds (default: 1)")
    parser.add_argument("--name", help="of the file of results")
    parser.add_argument("--add", action="store_true", help="to the runs that the file holds")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    case = silicon() if chosen.case == "silicon" else water()
    steps = round(1e3 * chosen.picoseconds / case.time_step)
    runs = [(model, frames) for model in chosen.models or [chosen.case] for frames in chosen.frames]
    file = f"conservation_{chosen.name or chosen.case}"
    found = runs_of(file) if chosen.add else {}
    start = None
    print("| model | " + " | ".join(COLUMNS) + " |")
    print("|---" * (1 + len(COLUMNS)) + "|")
    for model, frames in runs:
        potential = Potential(load_checkpoint(model), dtype="float64", frames=frames)
        if start is None:
            start = thermal(potential, case, chosen.settle)
        stem = Path(model).stem
        name = f"{stem}, frames {frames}" if frames else stem
        values = nve(potential, start.copy(), case.time_step, steps, name)
        print(f"| {name} |", " | ".join(f"{x:.3g}" for x in values.values()), "|", flush=True)
        times = {"picoseconds": chosen.picoseconds, "settled, picoseconds": chosen.settle}
        found[name] = times | values
        write_results(file, {"atoms": len(start), "runs": found})


def runs_of(file: str) -> dict[str, dict[str, float]]:
    """Runs in a file of results; none if there is no file."""
    path = RESULTS / f"{file}.json"
    return json.loads(path.read_text())["runs"] if path.exists() else {}


def silicon() -> Case:
    """A diamond crystal."""
    return Case(bulk("Si", cubic=True).repeat(2), 1.0)


def water() -> Case:
    """The liquid of the LAMMPS example."""
    read = read_lammps_data(WATER, units="metal", atom_style="atomic")
    return Case(Atoms(read.numbers, read.positions, cell=read.cell, pbc=True), 0.5)


def thermal(potential: Potential, case: Case, picoseconds: float = 1.0) -> Atoms:
    """Positions and velocities after some time with a Langevin thermostat at 300 K."""
    atoms = case.atoms.copy()
    rng = np.random.default_rng(0)
    MaxwellBoltzmannDistribution(atoms, temperature_K=KELVIN, rng=rng)
    Stationary(atoms)
    atoms.calc = PETCalculator(potential)
    friction, step = _FRICTION / units.fs, case.time_step * units.fs
    thermostat = Langevin(atoms, step, temperature_K=KELVIN, friction=friction, rng=rng)
    steps = round(1e3 * picoseconds / case.time_step)
    with Progress("settling", steps) as progress:
        for _ in range(steps):
            thermostat.run(1)
            progress.advance()
    Stationary(atoms)
    atoms.calc = None
    return atoms


def nve(
    potential: Potential, atoms: Atoms, time_step: float, steps: int, what: str
) -> dict[str, float]:
    """Run dynamics from the velocities of the atoms, which move.

    :param time_step: fs
    """
    atoms.calc = PETCalculator(potential)
    dynamics = VelocityVerlet(atoms, time_step * units.fs)
    energies, counts, kelvin = [atoms.get_total_energy()], [], []
    begun = time.perf_counter()
    with Progress(what, steps) as progress:
        for step in range(steps):
            dynamics.run(1)
            energies.append(atoms.get_total_energy())
            if step % _EVERY == 0:
                counts.append(potential.frames(atoms).counts().double().mean().item())
                kelvin.append(atoms.get_temperature())
            progress.advance()
    seconds = (time.perf_counter() - begun) / steps
    line = fitted(energies, len(atoms), time_step)
    fifth = max(len(kelvin) // 5, 1)
    values = (
        float(np.mean(counts)),
        1e3 * line.slope,
        1e3 * line.slope_error,
        line.farthest,
        1e3 * seconds,
        float(np.mean(kelvin[:fifth])),
        float(np.mean(kelvin[-fifth:])),
    )
    return dict(zip(COLUMNS, values, strict=True))


if __name__ == "__main__":
    main()
