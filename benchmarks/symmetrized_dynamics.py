"""Run dynamics with a symmetrized model, beside a model that was trained exact.

python benchmarks/symmetrized_dynamics.py silicon|water MODEL --name NAME [--beside MODEL ...]
    [--nvt 5] [--nve 2]

MODEL is a file that `pet-driver symmetrize` or benchmarks/symmetrize.py has written. 64 atoms of
silicon with a time step of 1 fs, or 192 atoms of water with 0.5 fs: --nvt picoseconds at 300 K with
a Langevin thermostat in float32, then --nve picoseconds in float64 from where it ended. Prints
temperature, nearest-neighbor distance, and the drift and range of the total energy, beside those of
the models named by --beside (default: the shipped model of the case); writes
results/symmetrized_dynamics_NAME.json after each model.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence

import numpy as np
from ase import Atoms, units
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
from conservation import KELVIN, Case, nve, silicon, water
from results_file import write_results

from pet_driver.engines.ase import PETCalculator
from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import load_checkpoint
from pet_driver.runtime.progress import Progress

FRICTION = 0.01  # 1/fs
EVERY = 20  # steps between two samples
SETTLED = 0.2  # share of the run that averages leave out


def main() -> None:
    """Run both parts with each model and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("case", choices=("silicon", "water"))
    parser.add_argument("model")
    parser.add_argument("--name", required=True, help="of the file of results")
    parser.add_argument("--beside", nargs="*", metavar="MODEL")
    parser.add_argument("--nvt", type=float, default=5.0, help="picoseconds")
    parser.add_argument("--nve", type=float, default=2.0, help="picoseconds")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    case = silicon() if chosen.case == "silicon" else water()
    beside = [chosen.case] if chosen.beside is None else chosen.beside
    steps = [round(1e3 * time / case.time_step) for time in (chosen.nvt, chosen.nve)]
    found: dict[str, dict[str, float]] = {}
    for model in (chosen.model, *beside):
        name = chosen.name if model == chosen.model else model
        found[name] = dynamics(model, case, steps, name)
        if len(found) == 1:
            print("| model | " + " | ".join(found[name]) + " |")
            print("|---" * (1 + len(found[name])) + "|")
        print(f"| {name} |", " | ".join(f"{x:.4g}" for x in found[name].values()), "|", flush=True)
        content = {"case": chosen.case, "NVT, ps": chosen.nvt, "NVE, ps": chosen.nve}
        write_results(f"symmetrized_dynamics_{chosen.name}", {**content, "models": found})


def dynamics(model: str, case: Case, steps: Sequence[int], what: str) -> dict[str, float]:
    """Thermostat and constant energy with one model."""
    checkpoint = load_checkpoint(model)
    atoms = case.atoms.copy()
    MaxwellBoltzmannDistribution(atoms, temperature_K=KELVIN, rng=np.random.default_rng(0))
    Stationary(atoms)
    atoms.calc = PETCalculator(Potential(checkpoint, dtype="float32"))
    found = nvt(atoms, case.time_step, steps[0], what)
    atoms.calc = None
    conserved = nve(
        Potential(checkpoint, dtype="float64"), atoms, case.time_step, steps[1], f"{what}, NVE"
    )
    return {**found, **conserved}


def nvt(atoms: Atoms, time_step: float, steps: int, what: str) -> dict[str, float]:
    """Mean temperature and nearest-neighbor distance; the atoms move."""
    thermostat = Langevin(
        atoms,
        time_step * units.fs,
        temperature_K=KELVIN,
        friction=FRICTION / units.fs,
        rng=np.random.default_rng(1),
    )
    temperatures, nearest = [], []
    with Progress(f"{what}, NVT", steps) as progress:
        for _ in range(0, steps, EVERY):
            thermostat.run(EVERY)
            temperatures.append(atoms.get_temperature())
            nearest.append(nearest_distance(atoms))
            progress.advance(steps=EVERY)
    kept = slice(int(SETTLED * len(temperatures)), None)
    return {
        "temperature, K": float(np.mean(temperatures[kept])),
        "nearest neighbor, angstrom": float(np.mean(nearest[kept])),
    }


def nearest_distance(atoms: Atoms) -> float:
    """Mean distance of an atom from the nearest other one, of oxygens in water."""
    chosen = atoms[atoms.numbers == max(atoms.numbers)]
    distances = chosen.get_all_distances(mic=True)
    np.fill_diagonal(distances, np.inf)
    return float(distances.min(axis=1).mean())


if __name__ == "__main__":
    main()
