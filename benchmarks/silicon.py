"""Compute lattice and elastic constants of diamond silicon, and run it at constant pressure.

python benchmarks/silicon.py [--steps 20000] [--model MODEL]

Uses the model `silicon`. Elastic constants are finite differences of the stress with respect to the
strain; atoms are relaxed in the strained cell. `--steps` is the number of steps of
lammps_examples/silicon_npt, 1 fs each, on two ranks (0: none). Prints the results and writes them
to results/silicon.json, those at constant pressure to results/silicon_npt.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.build import bulk
from ase.optimize import BFGS
from lammps_example import run_example
from results_file import write_results

from pet_driver.engines.ase import PETCalculator

STRAIN = 0.005
N_ATOMS = 64


def main() -> None:
    """Print all results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--model", default="silicon", help="of the constants (default: silicon)")
    parser.add_argument("--output", type=Path, default=Path("silicon_output"))
    options = parser.parse_args()
    crystal = relaxed(PETCalculator(options.model, dtype="float64"))
    results: dict[str, object] = {
        "model": options.model,
        "lattice constant, angstrom": round(crystal.cell[0, 0], 4),
        "elastic constants, GPa": {k: round(x, 1) for k, x in elastic_constants(crystal).items()},
    }
    written = {"silicon": results}
    if options.steps:
        written["silicon_npt"] = constant_pressure(options.output, options.steps)
    for name, content in written.items():
        print(json.dumps(content, indent=1, ensure_ascii=False))
        print(f"wrote {write_results(name, content)}")


def relaxed(calculator: PETCalculator) -> Atoms:
    """Cubic cell of 8 atoms, relaxed to zero pressure."""
    crystal = bulk("Si", cubic=True)
    crystal.calc = calculator
    for _ in range(20):
        pressure = -crystal.get_stress()[:3].mean()
        if abs(pressure) < 1e-7:
            break
        # Newton's method with a bulk modulus of 95 GPa
        crystal.set_cell(crystal.cell * (1 + pressure / (3 * 95 * units.GPa)), scale_atoms=True)
    return crystal


def elastic_constants(crystal: Atoms) -> dict[str, float]:
    """Elastic constants of a cubic crystal, GPa."""
    stretch = np.diag([STRAIN, 0.0, 0.0])
    shear = np.array([[0.0, STRAIN / 2, 0.0], [STRAIN / 2, 0.0, 0.0], [0.0, 0.0, 0.0]])
    stretched = stress_slope(crystal, stretch)
    return {
        "C11": stretched[0],
        "C12": 0.5 * (stretched[1] + stretched[2]),
        "C44": stress_slope(crystal, shear)[5],
    }


def stress_slope(crystal: Atoms, strain: np.ndarray) -> np.ndarray:
    """Derivative of the stress (xx, yy, zz, yz, xz, xy) with respect to a strain, GPa."""
    stresses = []
    for sign in (1.0, -1.0):
        strained = crystal.copy()
        strained.calc = crystal.calc
        strained.set_cell(strained.cell @ (np.eye(3) + sign * strain), scale_atoms=True)
        BFGS(strained, logfile=None).run(fmax=1e-4, steps=100)
        stresses.append(strained.get_stress() / units.GPa)
    return (stresses[0] - stresses[1]) / (2.0 * STRAIN)


def constant_pressure(folder: Path, steps: int) -> dict[str, object]:
    """Run dynamics at 300 K and 1 bar; averages leave out the first fifth."""
    thermo = run_example("silicon_npt", folder, {"steps": steps})
    kept = slice(len(thermo["Step"]) // 5, None)
    edge = np.stack([thermo[name][kept] for name in ("Lx", "Ly", "Lz")]) / 2.0
    picoseconds = 1e-3 * thermo["Step"]
    drift = np.polyfit(picoseconds[kept], thermo["Econserve"][kept], 1)[0]
    temperature, pressure = thermo["Temp"][kept], thermo["Press"][kept]
    return {
        "steps of 1 fs, 300 K, 1 bar": steps,
        "temperature and its fluctuation, K": [round(x, 1) for x in mean_and_spread(temperature)],
        "pressure and its fluctuation, bar": [round(x) for x in mean_and_spread(pressure)],
        "lattice constants, angstrom": [round(float(x), 4) for x in edge.mean(1)],
        "drift of the conserved quantity, meV/atom/ns": round(1e6 * drift / N_ATOMS, 1),
    }


def mean_and_spread(values: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation."""
    return float(values.mean()), float(values.std())


if __name__ == "__main__":
    main()
