"""Vibrations of a water molecule, with exact symmetry and without.

    python run.py [--output FOLDER]

A free molecule of three atoms has three vibrations and six modes that cost nothing: three
translations and three rotations. A model whose energy depends on the orientation pins the
rotations.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from ase.build import molecule
from ase.optimize import BFGS
from ase.vibrations import Vibrations
from numpy.typing import NDArray

from pet_driver.engines.ase import PETCalculator


def wavenumbers(scope: str | None) -> NDArray[np.float64]:
    """Wavenumbers of the nine modes, 1/cm, sorted; imaginary ones are negative.

    :param scope: None: exact symmetry, as trained; "none": the same weights without frames
    """
    atoms = molecule("H2O")
    atoms.calc = PETCalculator("water", dtype="float64", scope=scope)
    BFGS(atoms, logfile=None).run(fmax=1e-7, steps=500)
    with TemporaryDirectory() as folder:
        # Four displacements per coordinate: with two the rotations would get 5 1/cm from
        # anharmonicity.
        vibrations = Vibrations(atoms, name=f"{folder}/modes", delta=2e-3, nfree=4)
        vibrations.run()
        found = vibrations.get_frequencies()
    return np.sort(found.real - found.imag)


def main() -> None:
    """Compute, print and draw the modes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("."), metavar="FOLDER")
    folder = parser.parse_args().output
    modes = {"exact": wavenumbers(None), "plain": wavenumbers("none")}

    figure, axes = plt.subplots(figsize=(5.0, 3.0), layout="constrained")
    for name, marker in (("exact", "o"), ("plain", "x")):
        print(name, *(f"{wavenumber:.2f}" for wavenumber in modes[name]))
        axes.plot(range(1, 10), modes[name], marker, label=name)
    axes.set(xlabel="mode", ylabel="wavenumber (1/cm), imaginary: negative")
    axes.axhline(0.0, color="grey", linewidth=0.5)
    axes.legend()
    figure.savefig(folder / "vibrations.png", dpi=90)


if __name__ == "__main__":
    main()
