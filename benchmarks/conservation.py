"""Measure how well molecular dynamics conserves energy: NVE in float64, one model beside another.

python benchmarks/conservation.py silicon|water [--models NAME|FILE ...] [--frames NAME ...]
    [--picoseconds 10] [--name NAME]

64 atoms of silicon with a time step of 1 fs, or 192 atoms of water with 0.5 fs, started at 300 K
after 0.1 ps with the first model. Each model (default: the shipped one) runs with its own frame
constants, or with each of those that are named. Prints frames per atom, drift by a linear fit, the
largest distance of the total energy from that line, and time per step; writes
results/conservation_NAME.json (default: the case), after each run.
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.io.lammpsdata import read_lammps_data
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
from ase.md.verlet import VelocityVerlet
from energy_fit import fitted
from results_file import write_results

from pet_driver.engines.ase import PETCalculator
from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import load_checkpoint
from pet_driver.runtime.progress import Progress

WATER = Path(__file__).resolve().parent.parent / "lammps_examples" / "water_nvt" / "water.data"
KELVIN = 300.0
_EVERY = 20  # steps between two samples of the number of frames


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
    parser.add_argument("--name", help="of the file of results")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    case = silicon() if chosen.case == "silicon" else water()
    steps = round(1e3 * chosen.picoseconds / case.time_step)
    runs = [(model, frames) for model in chosen.models or [chosen.case] for frames in chosen.frames]
    start = None
    found = {}
    print("| model | frames per atom | drift, meV/atom/ns | farthest, meV/atom | ms/step |")
    print("|---|---|---|---|---|")
    for model, frames in runs:
        potential = Potential(load_checkpoint(model), dtype="float64", frames=frames)
        if start is None:
            start = thermal(potential, case)
        name = f"{model}, frames {frames}" if frames else model
        found[name] = nve(potential, start.copy(), case.time_step, steps, name)
        print(f"| {name} |", " | ".join(f"{x:.3g}" for x in found[name].values()), "|", flush=True)
        content = {"picoseconds": chosen.picoseconds, "atoms": len(start), "runs": found}
        write_results(f"conservation_{chosen.name or chosen.case}", content)


def silicon() -> Case:
    """A diamond crystal."""
    return Case(bulk("Si", cubic=True).repeat(2), 1.0)


def water() -> Case:
    """The liquid of the LAMMPS example."""
    read = read_lammps_data(WATER, units="metal", atom_style="atomic")
    return Case(Atoms(read.numbers, read.positions, cell=read.cell, pbc=True), 0.5)


def thermal(potential: Potential, case: Case) -> Atoms:
    """Positions and velocities after 0.1 ps.

    A crystal at rest has potential energy to take up: it gets twice the kinetic energy.
    """
    atoms = case.atoms.copy()
    at_rest = np.abs(potential.compute(atoms).forces).max() < 1e-3
    kelvin = 2 * KELVIN if at_rest else KELVIN
    MaxwellBoltzmannDistribution(atoms, temperature_K=kelvin, rng=np.random.default_rng(0))
    Stationary(atoms)
    nve(potential, atoms, case.time_step, round(100.0 / case.time_step), "equilibrating")
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
    energies, counts = [atoms.get_total_energy()], []
    begun = time.perf_counter()
    with Progress(what, steps) as progress:
        for step in range(steps):
            dynamics.run(1)
            energies.append(atoms.get_total_energy())
            if step % _EVERY == 0:
                counts.append(potential.frames(atoms).counts().double().mean().item())
            progress.advance()
    seconds = (time.perf_counter() - begun) / steps
    slope, farthest = fitted(energies, len(atoms), time_step)
    return {
        "frames per atom": float(np.mean(counts)),
        "drift, meV/atom/ns": 1e3 * slope,
        "farthest, meV/atom": farthest,
        "ms/step": 1e3 * seconds,
    }


if __name__ == "__main__":
    main()
