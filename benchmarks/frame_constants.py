"""Measure the effect of the constants of the frames on molecular dynamics.

python benchmarks/frame_constants.py [--steps 240]

Prints frames per atom, time per step, and drift and range of the total energy in meV/atom, with the
weights of the model `water`. NVE of 192 atoms of liquid water, 0.5 fs, float32; all runs start from
the same positions and velocities, those after 200 steps with the model's own constants.
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.io.lammpsdata import read_lammps_data
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.md.verlet import VelocityVerlet

from pet_driver.engines.ase import PETCalculator
from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import Checkpoint, load_checkpoint
from pet_driver.runtime.progress import Progress

WATER = Path(__file__).resolve().parent.parent / "lammps_examples" / "water_nvt" / "water.data"
TIME_STEP = 0.5 * units.fs
# margin, start of pruning, axis_margin; pruning ends at 1
CONSTANTS = [
    (0.15, 0.6, None),
    (0.3, 0.6, None),
    (0.5, 0.5, None),
    (0.5, 0.5, 0.5),
    (0.5, 0.3, 0.5),
    (0.8, 0.3, 0.5),
]


def main() -> None:
    """Run dynamics with all constants and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=240)
    steps = parser.parse_args().steps
    warnings.simplefilter("ignore")
    water = load_checkpoint("water")
    start = thermal(water)
    print("| margin | pruning from, to | axis_margin | frames per atom | drift | range | ms/step |")
    print("|---|---|---|---|---|---|---|")
    for margin, first, axis in CONSTANTS:
        frames = replace(
            water.hyper.frames,
            margin=margin,
            axis_margin=axis,
            pruning_fraction=first,
            pruning_width=1.0 - first,
            pruning_rounds=1,
        )
        changed = replace(water, hyper=replace(water.hyper, frames=frames))
        what = f"margin {margin}, pruning from {first}, axis {axis or '-'}"
        count, energies, seconds = nve(changed, start.copy(), steps, what)
        per_atom = 1e3 * (energies - energies[0]) / len(start)
        print(
            f"| {margin} | {first}, 1.0 | {axis or '-'} | {count:.1f} | {per_atom[-1]:+.2f} "
            f"| {np.ptp(per_atom):.2f} | {1e3 * seconds:.0f} |",
            flush=True,
        )


def thermal(checkpoint: Checkpoint) -> Atoms:
    """Positions and velocities of the example, after 0.1 ps."""
    read = read_lammps_data(WATER, units="metal", atom_style="atomic")
    atoms = Atoms(read.numbers, read.positions, cell=read.cell, pbc=True)
    MaxwellBoltzmannDistribution(atoms, temperature_K=300.0, rng=np.random.default_rng(0))
    nve(checkpoint, atoms, 200, "equilibrating")
    return atoms


def nve(
    checkpoint: Checkpoint, atoms: Atoms, steps: int, what: str
) -> tuple[float, np.ndarray, float]:
    """Frames per atom, total energies (steps + 1,) in eV, and seconds per step; moves the atoms."""
    potential = Potential(checkpoint)
    atoms.calc = PETCalculator(potential)
    dynamics = VelocityVerlet(atoms, TIME_STEP)
    energies = [atoms.get_total_energy()]
    begun = time.perf_counter()
    with Progress(what, steps) as progress:
        for _ in range(steps):
            dynamics.run(1)
            energies.append(atoms.get_total_energy())
            progress.advance()
    seconds = (time.perf_counter() - begun) / steps
    count = float(potential.frames(atoms).counts().double().mean())
    return count, np.array(energies), seconds


if __name__ == "__main__":
    main()
