"""Relaxation of a strained and disturbed crystal of silicon, atoms and cell together.

python run.py [--output FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from ase.build import bulk
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS

from pet_driver.engines.ase import PETCalculator

GPA = 160.21766208  # per eV/angstrom^3


def main() -> None:
    """Relax, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("."), metavar="FOLDER")
    folder = parser.parse_args().output

    silicon = bulk("Si", "diamond", a=5.47, cubic=True)
    strain = np.array([[0.03, 0.02, 0.0], [0.02, -0.02, 0.01], [0.0, 0.01, 0.02]])
    silicon.set_cell(silicon.cell @ (np.eye(3) + strain), scale_atoms=True)
    silicon.rattle(0.05, seed=1)
    silicon.calc = PETCalculator("silicon", dtype="float64")

    energies, pressures = [], []

    def note() -> None:
        energies.append(silicon.get_potential_energy() / len(silicon))
        pressures.append(np.abs(silicon.get_stress()).max() * GPA)

    optimizer = BFGS(FrechetCellFilter(silicon), logfile=None)
    optimizer.attach(note)
    optimizer.run(fmax=1e-4, steps=200)

    lengths, angles = silicon.cell.lengths(), silicon.cell.angles()
    print(f"steps {optimizer.nsteps}, energy {energies[-1]:.6f} eV/atom")
    print("lattice constants", *(f"{length:.4f}" for length in lengths), "angstrom")
    print("angles", *(f"{angle:.3f}" for angle in angles), "degrees")
    print(f"largest stress {pressures[-1]:.4f} GPa")

    figure, (left, right) = plt.subplots(1, 2, figsize=(6.5, 2.8), layout="constrained")
    left.semilogy(1e3 * (np.array(energies[:-1]) - energies[-1]))
    left.set(xlabel="step", ylabel="energy above the end (meV/atom)")
    right.semilogy(pressures)
    right.set(xlabel="step", ylabel="largest stress (GPa)")
    figure.savefig(folder / "relaxation.png", dpi=90)


if __name__ == "__main__":
    main()
