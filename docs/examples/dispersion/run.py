"""Silicon with dispersion (DFT-D3) beside the model: energy against the lattice constant.

    python run.py [--output FOLDER]

The model was trained on PBE without dispersion. A model of a functional that contains dispersion,
such as the shipped `water` (revPBE0-D3), must not get it twice.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.mixing import SumCalculator
from dftd3.ase import DFTD3
from numpy.typing import NDArray

from pet_driver.engines.ase import PETCalculator


def energies(calculator: Calculator, lattice_constants: NDArray[np.float64]) -> NDArray[np.float64]:
    """Energy of diamond silicon at each lattice constant (angstrom), eV/atom."""
    found = []
    for length in lattice_constants:
        silicon = bulk("Si", "diamond", a=length)
        silicon.calc = calculator
        found.append(silicon.get_potential_energy() / len(silicon))
    return np.array(found)


def main() -> None:
    """Compute, print and draw both curves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("."), metavar="FOLDER")
    folder = parser.parse_args().output

    model = PETCalculator("silicon", dtype="float64")
    dispersion = DFTD3(method="PBE", damping="d3bj")
    calculators = {"model": model, "model + D3": SumCalculator([model, dispersion])}

    lengths = np.linspace(5.32, 5.56, 9)
    figure, axes = plt.subplots(figsize=(4.5, 3.0), layout="constrained")
    for name, calculator in calculators.items():
        curve = energies(calculator, lengths)
        fit = np.polynomial.Polynomial.fit(lengths, curve, 3)
        minimum = min(fit.deriv().roots().real, key=lambda root: abs(root - 5.45))
        print(f"{name}: lattice constant {minimum:.4f} angstrom, energy {fit(minimum):.4f} eV/atom")
        axes.plot(lengths, 1e3 * (curve - fit(minimum)), "o-", markersize=3, label=name)
    axes.set(xlabel="lattice constant (Å)", ylabel="energy above the minimum (meV/atom)")
    axes.legend()
    figure.savefig(folder / "dispersion.png", dpi=90)


if __name__ == "__main__":
    main()
