"""Elastic constants of silicon, by matcalc.

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
from matcalc import ElasticityCalc

from pet_driver.engines.ase import PETCalculator

GPA = 160.21766208  # per eV/angstrom^3
# GPa, of PBE at 0 K, which the model was trained on.
REFERENCE = {"C11": 155.0, "C12": 57.0, "C44": 76.0}


def main() -> None:
    """Compute, print and draw the constants."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("."), metavar="FOLDER")
    folder = parser.parse_args().output

    silicon = bulk("Si", "diamond", a=5.47, cubic=True)
    # Strained crystals have atoms that are not where symmetry puts them: they are relaxed too.
    task = ElasticityCalc(
        PETCalculator("silicon", dtype="float64"),
        norm_strains=(-0.01, -0.005, 0.005, 0.01),
        shear_strains=(-0.02, -0.01, 0.01, 0.02),
        fmax=1e-3,
        relax_deformed_structures=True,
    )
    found = task.calc(silicon)
    tensor = np.array(found["elastic_tensor"].voigt) * GPA
    constants = {
        "C11": tensor[[0, 1, 2], [0, 1, 2]],
        "C12": tensor[[0, 0, 1], [1, 2, 2]],
        "C44": tensor[[3, 4, 5], [3, 4, 5]],
    }
    for name, values in constants.items():
        print(f"{name} {values.mean():.1f} GPa, spread {np.ptp(values):.2g}")
    print(f"bulk modulus {found['bulk_modulus_vrh'] * GPA:.1f} GPa")

    figure, axes = plt.subplots(figsize=(4.0, 3.0), layout="constrained")
    places = np.arange(3)
    axes.bar(places - 0.2, [values.mean() for values in constants.values()], 0.4, label="silicon")
    axes.bar(places + 0.2, list(REFERENCE.values()), 0.4, label="PBE")
    axes.set(xticks=places, xticklabels=list(constants), ylabel="GPa")
    axes.legend()
    figure.savefig(folder / "elastic_constants.png", dpi=90)


if __name__ == "__main__":
    main()
