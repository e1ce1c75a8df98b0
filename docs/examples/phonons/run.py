"""Phonons of silicon, by phonopy: the bands, and whether any mode is unstable.

python run.py [--output FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from phonopy import Phonopy
from phonopy.phonon.band_structure import get_band_qpoints_and_path_connections
from phonopy.structure.atoms import PhonopyAtoms

from pet_driver.engines.ase import PETCalculator

# Corners of the Brillouin zone of fcc; K and U are one point.
PATH = [
    [[0, 0, 0], [0.5, 0, 0.5], [0.625, 0.25, 0.625]],
    [[0.375, 0.375, 0.75], [0, 0, 0], [0.5, 0.5, 0.5]],
]
LABELS = ["Γ", "X", "U|K", "Γ", "L"]
TOLERANCE = 0.05  # THz


def main() -> None:
    """Compute, print and draw the phonons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("."), metavar="FOLDER")
    folder = parser.parse_args().output

    calculator = PETCalculator("silicon", dtype="float64")
    silicon = bulk("Si", "diamond", a=5.47, cubic=True)
    silicon.calc = calculator
    BFGS(FrechetCellFilter(silicon), logfile=None).run(fmax=1e-5)

    cell = PhonopyAtoms(
        silicon.get_chemical_symbols(), cell=silicon.cell.array, positions=silicon.positions
    )
    phonons = Phonopy(cell, supercell_matrix=3 * np.eye(3), primitive_matrix="auto")
    phonons.generate_displacements(distance=0.01)
    phonons.forces = [
        calculator.get_forces(Atoms(a.symbols, a.positions, cell=a.cell, pbc=True))
        for a in phonons.supercells_with_displacements
    ]
    phonons.produce_force_constants()

    points, connections = get_band_qpoints_and_path_connections(PATH, npoints=41)
    phonons.run_band_structure(points, path_connections=connections)
    phonons.run_mesh(20)
    lowest = phonons.get_mesh_dict()["frequencies"].min()
    bands = phonons.get_band_structure_dict()
    gamma = bands["frequencies"][0][0]
    print(f"lattice constant {silicon.cell.lengths()[0]:.4f} angstrom")
    print("modes at the zone's centre, THz:", *(f"{frequency:.3f}" for frequency in gamma))
    print(f"lowest frequency on a mesh {lowest:.3f} THz:", end=" ")
    print("stable" if lowest > -TOLERANCE else "unstable")

    figure, axes = plt.subplots(figsize=(5.0, 3.5), layout="constrained")
    for distances, frequencies in zip(bands["distances"], bands["frequencies"], strict=True):
        axes.plot(distances, frequencies, color="C0", linewidth=1.0)
    corners = [bands["distances"][0][0], *(distances[-1] for distances in bands["distances"])]
    axes.set(xticks=corners, xticklabels=LABELS, xlim=(corners[0], corners[-1]))
    axes.set(ylabel="frequency (THz)", ylim=(min(0.0, lowest), None))
    axes.grid(axis="x")
    figure.savefig(folder / "phonons.png", dpi=90)


if __name__ == "__main__":
    main()
