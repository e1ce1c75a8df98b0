"""Alanine dipeptide by the model `dipeptides`, in a box of classical TIP3P water.

python run.py [--steps 1000] [--device cpu] [--plot angles.png]
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
EVERY = 10  # steps between two values of the angles
PET_GROUP = 1  # force group of the PET model, so that its energy can be had alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1000, help="of 0.5 fs")
    parser.add_argument("--device", default="cpu", help="of the model: cpu, cuda or cuda:N")
    parser.add_argument("--platform", default="CPU", help="of OpenMM: CPU, CUDA, OpenCL, HIP")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a picture")
    options = parser.parse_args()
    pdb = app.PDBFile(str(START))
    peptide = [a.index for a in pdb.topology.atoms() if a.residue.name != "HOH"]
    system = mixed_system(pdb.topology, peptide, options.device)
    integrator = openmm.LangevinMiddleIntegrator(TEMPERATURE, 10 / unit.picosecond, TIME_STEP)
    platform = openmm.Platform.getPlatformByName(options.platform)
    simulation = app.Simulation(pdb.topology, system, integrator, platform)
    simulation.context.setPositions(pdb.positions)
    simulation.minimizeEnergy(maxIterations=50)
    simulation.context.setVelocitiesToTemperature(TEMPERATURE, 1)
    angles = backbone_angles(simulation, options.steps)
    energy = simulation.context.getState(energy=True, groups={PET_GROUP}).getPotentialEnergy()
    print(f"energy of the peptide by PET: {energy}")
    print("mean phi and psi of the second half, degrees:", circular_mean(angles).round())
    if options.plot:
        plot(angles, options.plot)


def mixed_system(topology: app.Topology, atoms: list[int], device: str) -> openmm.System:
    """Amber ff14SB and TIP3P, where the atoms interact with each other by PET."""
    forcefield = app.ForceField("amber14-all.xml", "amber14/tip3p.xml")
    classical = forcefield.createSystem(
        topology, nonbondedMethod=app.PME, nonbondedCutoff=0.9 * unit.nanometer, rigidWater=True
    )
    potential = MLPotential("pet", model="dipeptides", device=device)
    return potential.createMixedSystem(topology, classical, atoms, forceGroup=PET_GROUP)


def backbone_angles(simulation: app.Simulation, n_steps: int) -> np.ndarray:
    """Run, and measure phi and psi; (n_values, 2), degrees."""
    index = {(a.residue.name, a.name): a.index for a in simulation.topology.atoms()}
    middle = [index["ALA", name] for name in ("N", "CA", "C")]
    phi, psi = [index["ACE", "C"], *middle], [*middle, index["NME", "N"]]
    values = []
    for _ in range(n_steps // EVERY):
        simulation.step(EVERY)
        state = simulation.context.getState(positions=True)
        positions = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
        values.append([dihedral(positions[phi]), dihedral(positions[psi])])
    return np.array(values)


def dihedral(points: np.ndarray) -> float:
    """Dihedral angle of four points, (4, 3); degrees, -180 to 180."""
    first, axis, last = np.diff(points, axis=0)
    left, right = np.cross(first, axis), np.cross(axis, last)
    sine = np.linalg.norm(axis) * (first @ right)
    return float(np.degrees(np.arctan2(sine, left @ right)))


def circular_mean(angles: np.ndarray) -> np.ndarray:
    """Mean direction of the second half of the angles, degrees."""
    directions = np.exp(1j * np.radians(angles[len(angles) // 2 :])).mean(axis=0)
    return np.degrees(np.angle(directions))


def plot(angles: np.ndarray, path: Path) -> None:
    """Draw phi and psi over time."""
    import matplotlib.pyplot as plt

    times = (1 + np.arange(len(angles))) * EVERY * TIME_STEP.value_in_unit(unit.picosecond)
    figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
    for name, values in zip(("phi", "psi"), angles.T, strict=True):
        axes.plot(times, values % 360, ".", markersize=3, label=name)
    axes.set(xlabel="time, ps", ylabel="angle, degrees", ylim=(0, 360))
    axes.legend()
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
