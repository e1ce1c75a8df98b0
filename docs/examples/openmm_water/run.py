"""Liquid water in OpenMM: thermostatted, then at constant energy, all atoms by the model `water`.

python run.py [--steps 400] [--device cpu] [--plot energy.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import openmm
from openmm import app, unit
from openmmml import MLPotential

START = Path(__file__).with_name("start.pdb")
TIME_STEP = 0.5 * unit.femtosecond
TEMPERATURE = 300 * unit.kelvin
MEV = 0.0964853321 * unit.kilojoule_per_mole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400, help="of 0.5 fs, of either ensemble")
    parser.add_argument("--device", default="cpu", help="of the model: cpu, cuda or cuda:N")
    parser.add_argument("--platform", default="CPU", help="of OpenMM: CPU, CUDA, OpenCL, HIP")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a picture")
    options = parser.parse_args()
    platform = openmm.Platform.getPlatformByName(options.platform)
    pdb = app.PDBFile(str(START))
    potential = MLPotential("pet", model="water", device=options.device)
    system = potential.createSystem(pdb.topology)

    thermostat = openmm.LangevinMiddleIntegrator(TEMPERATURE, 10 / unit.picosecond, TIME_STEP)
    simulation = app.Simulation(pdb.topology, system, thermostat, platform)
    simulation.context.setPositions(pdb.positions)
    simulation.context.setVelocitiesToTemperature(TEMPERATURE, 1)
    simulation.step(options.steps)
    state = simulation.context.getState(positions=True, velocities=True)

    verlet = openmm.VerletIntegrator(TIME_STEP)
    simulation = app.Simulation(pdb.topology, system, verlet, platform)
    simulation.context.setState(state)
    energies = total_energies(simulation, options.steps)
    drift = np.polyfit(np.arange(len(energies)), energies, 1)[0] * len(energies)
    print(f"total energy: range {np.ptp(energies):.3f} meV/atom, drift {drift:.3f} meV/atom")
    if options.plot:
        plot(energies, options.plot)


def total_energies(simulation: app.Simulation, n_steps: int) -> np.ndarray:
    """Total energy after each step less the first one, meV per atom."""
    energies = []
    for _ in range(n_steps):
        simulation.step(1)
        state = simulation.context.getState(energy=True)
        total = state.getPotentialEnergy() + state.getKineticEnergy()
        energies.append(total / MEV / simulation.topology.getNumAtoms())
    return np.array(energies) - energies[0]


def plot(energies: np.ndarray, path: Path) -> None:
    """Draw the total energy over time."""
    import matplotlib.pyplot as plt

    times = np.arange(len(energies)) * TIME_STEP.value_in_unit(unit.femtosecond)
    figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
    axes.plot(times, energies)
    axes.set(xlabel="time, fs", ylabel="total energy, meV/atom")
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
