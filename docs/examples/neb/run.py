"""Barrier of a hydrogen bond's exchange in the water dimer, by a nudged elastic band.

    python run.py [--output FOLDER]

The donor turns by half a turn about its axis, so that its other hydrogen makes the bond. Both ends
are the same structure with two hydrogens exchanged; in between both point to the acceptor.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from ase import Atoms
from ase.build import molecule
from ase.mep import NEB
from ase.optimize import BFGS

from pet_driver import load_model
from pet_driver.engines.ase import PETCalculator

KCAL = 23.060548  # kcal/mol per eV
DONOR = [0, 1, 2]  # oxygen, the hydrogen in the bond, the other one


def dimer() -> Atoms:
    """Water dimer, not relaxed: the donor's atoms first."""
    donor, acceptor = molecule("H2O"), molecule("H2O")
    bond = donor.positions[1] - donor.positions[0]
    donor.rotate(bond, "x", center=donor.positions[0])
    donor.translate(-donor.positions[0])
    acceptor.rotate(90, "y", center=acceptor.positions[0])
    acceptor.translate([2.9, 0.0, 0.0] - acceptor.positions[0])
    return donor + acceptor


def path(start: Atoms, n_images: int) -> list[Atoms]:
    """Images between the start and the same structure with the donor's hydrogens exchanged."""
    images = []
    oxygen, bound, free = start.positions[DONOR]
    axis = (bound - oxygen) / np.linalg.norm(bound - oxygen)
    axis += (free - oxygen) / np.linalg.norm(free - oxygen)
    for angle in np.linspace(0.0, 180.0, n_images):
        image = start.copy()
        donor = image[DONOR]
        donor.rotate(angle, axis, center=oxygen)
        image.positions[DONOR] = donor.positions
        images.append(image)
    images[-1].positions = start.positions[[0, 2, 1, 3, 4, 5]]
    return images


def main() -> None:
    """Find the path, print and draw its energies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("."), metavar="FOLDER")
    folder = parser.parse_args().output

    potential = load_model("water", dtype="float64")  # shared by all images
    start = dimer()
    start.calc = PETCalculator(potential, dtype="float64")
    BFGS(start, logfile=None).run(fmax=1e-3, steps=500)
    images = path(start, 7)
    for image in images:
        image.calc = PETCalculator(potential, dtype="float64")
    band = NEB(images, climb=True, method="improvedtangent", remove_rotation_and_translation=True)
    converged = BFGS(band, logfile=None).run(fmax=0.03, steps=150)

    energies = np.array([image.get_potential_energy() for image in images])
    energies = 1e3 * (energies - energies[0])
    print(f"converged: {'yes' if converged else 'no'}")
    print(f"distance of the oxygens {start.get_distance(0, 3):.3f} angstrom")
    print("energies, meV:", *(f"{energy:.1f}" for energy in energies))
    print(f"barrier {energies.max():.1f} meV, {energies.max() / 1e3 * KCAL:.2f} kcal/mol")

    figure, axes = plt.subplots(figsize=(4.5, 3.0), layout="constrained")
    axes.plot(energies, "o-")
    axes.set(xlabel="image", ylabel="energy (meV)")
    figure.savefig(folder / "neb.png", dpi=90)


if __name__ == "__main__":
    main()
