"""Make the starting structure of OpenMM's example: alanine dipeptide in a box of TIP3P water.

Needs OpenMM (the extra `openmm`). Heavy atoms are placed with ideal bond
lengths and angles (Engh and Huber, Acta Cryst. A47, 392 (1991)) at phi = -75 and psi = 145 degrees;
OpenMM adds hydrogens and water, and minimizes with Amber ff14SB. Writes
docs/examples/openmm_dipeptide/start.pdb.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openmm
from openmm import app, unit

TARGET = Path(__file__).resolve().parent.parent / "docs/examples/openmm_dipeptide/start.pdb"
EDGE = 2.4  # nm, of the box
PHI, PSI = -75.0, 145.0  # degrees


def main() -> None:
    """Build, solvate, minimize and write."""
    forcefield = app.ForceField("amber14-all.xml", "amber14/tip3p.xml")
    modeller = app.Modeller(*dipeptide())
    modeller.addHydrogens(forcefield)
    # Water is placed after a first minimization, around a sound molecule.
    modeller.positions = minimized(modeller, forcefield, app.NoCutoff)
    modeller.addSolvent(forcefield, boxSize=openmm.Vec3(EDGE, EDGE, EDGE) * unit.nanometer)
    positions = minimized(modeller, forcefield, app.PME)
    with TARGET.open("w") as file:
        app.PDBFile.writeFile(modeller.topology, positions, file)
    print(f"{modeller.topology.getNumAtoms()} atoms, written: {TARGET}")


def minimized(modeller: app.Modeller, forcefield: app.ForceField, method: object) -> unit.Quantity:
    """Positions after a minimization with the classical force field."""
    system = forcefield.createSystem(modeller.topology, nonbondedMethod=method)
    integrator = openmm.VerletIntegrator(0.001)
    platform = openmm.Platform.getPlatformByName("CPU")
    simulation = app.Simulation(modeller.topology, system, integrator, platform)
    simulation.context.setPositions(modeller.positions)
    simulation.minimizeEnergy()
    return simulation.context.getState(positions=True).getPositions()


def dipeptide() -> tuple[app.Topology, unit.Quantity]:
    """Heavy atoms of ACE-ALA-NME."""
    place: dict[str, np.ndarray] = {}
    place["ACE CH3"] = np.zeros(3)
    place["ACE C"] = np.array([1.52, 0.0, 0.0])
    place["ACE O"] = np.array([2.14, 1.06, 0.0])
    chain = [
        ("ALA N", "ACE O", "ACE CH3", "ACE C", 1.33, 116.4, 180.0),
        ("ALA CA", "ACE CH3", "ACE C", "ALA N", 1.46, 121.7, 180.0),
        ("ALA C", "ACE C", "ALA N", "ALA CA", 1.52, 111.0, PHI),
        ("NME N", "ALA N", "ALA CA", "ALA C", 1.33, 116.4, PSI),
        ("ALA O", "ALA N", "ALA CA", "ALA C", 1.23, 120.5, PSI + 180.0),
        ("NME C", "ALA CA", "ALA C", "NME N", 1.46, 121.7, 180.0),
        # An L amino acid: seen from H, the groups CO, R and N follow each other clockwise.
        ("ALA CB", "ACE C", "ALA N", "ALA CA", 1.53, 110.4, PHI - 122.5),
    ]
    for name, a, b, c, length, angle, torsion in chain:
        place[name] = attached(place[a], place[b], place[c], length, angle, torsion)
    topology = app.Topology()
    strand = topology.addChain()
    positions = []
    for residue in ("ACE", "ALA", "NME"):
        added = topology.addResidue(residue, strand)
        for key, position in place.items():
            if key.startswith(residue):
                name = key.split()[1]
                topology.addAtom(name, app.Element.getBySymbol(name[0]), added)
                positions.append(0.1 * position)
    topology.createStandardBonds()
    return topology, np.array(positions) * unit.nanometer


def attached(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, length: float, angle: float, torsion: float
) -> np.ndarray:
    """Position of an atom bonded to c, at an angle with b and a torsion with a; degrees."""
    axis = (c - b) / np.linalg.norm(c - b)
    normal = np.cross(b - a, axis)
    normal /= np.linalg.norm(normal)
    theta, phi = np.radians(angle), np.radians(torsion)
    local = np.array([-np.cos(theta), np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi)])
    return c + length * (local @ np.array([axis, np.cross(normal, axis), normal]))


if __name__ == "__main__":
    main()
