"""Make lammps_examples/ice_npt/ice.data: 32 molecules of cubic ice in a triclinic cell.

The oxygen atoms form a diamond lattice. To satisfy the ice rules, the bonds are followed along
closed paths, and in each bond the hydrogen is placed near the oxygen at which the step starts. Each
bond then has one hydrogen, and each oxygen has two close to it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.io.lammpsdata import write_lammps_data
from ase.neighborlist import neighbor_list

OXYGEN_DISTANCE = 2.75  # angstrom
BOND = 0.98
# In units of the cubic lattice vectors: four cubic cells of eight molecules.
CELL = np.array([[2.0, 0.0, 0.0], [1.0, 2.0, 0.0], [0.5, 0.5, 1.0]])
OUTPUT = Path(__file__).resolve().parent.parent / "lammps_examples" / "ice_npt" / "ice.data"


def main() -> None:
    """Write the data file."""
    oxygen = oxygen_lattice()
    ice = with_hydrogen(oxygen, donations(oxygen, np.random.default_rng(0)))
    write_lammps_data(
        OUTPUT, ice, specorder=["H", "O"], masses=True, atom_style="atomic", force_skew=True
    )


def oxygen_lattice() -> Atoms:
    """Oxygen atoms of the triclinic cell."""
    lattice_constant = 4.0 * OXYGEN_DISTANCE / np.sqrt(3.0)
    primitive = bulk("O", "diamond", a=lattice_constant)
    steps = CELL * lattice_constant @ np.linalg.inv(primitive.cell.array)
    return make_supercell(primitive, np.rint(steps).astype(int))


def donations(oxygen: Atoms, rng: np.random.Generator) -> list[tuple[int, np.ndarray]]:
    """Donor, and vector to the acceptor, of every bond; each oxygen donates two."""
    donors, acceptors, vectors = neighbor_list("ijD", oxygen, 1.1 * OXYGEN_DISTANCE)
    unused = {k: list(rng.permutation(np.nonzero(donors == k)[0])) for k in range(len(oxygen))}
    taken, found = set(), []
    for start in range(len(oxygen)):
        here = start
        while unused[here]:
            edge = unused[here].pop()
            if edge in taken:
                continue
            same = (donors == acceptors[edge]) & (acceptors == here)
            back = np.nonzero(same & (np.abs(vectors + vectors[edge]).max(axis=1) < 1e-6))[0][0]
            taken |= {edge, back}
            found.append((here, vectors[edge]))
            here = acceptors[edge]
    return found


def with_hydrogen(oxygen: Atoms, donated: list[tuple[int, np.ndarray]]) -> Atoms:
    """Add the hydrogen atoms; the order is O H H for each molecule."""
    numbers, positions = [], []
    for k, center in enumerate(oxygen.positions):
        hydrogen = [center + BOND * v / np.linalg.norm(v) for donor, v in donated if donor == k]
        assert len(hydrogen) == 2, "a closed path leaves every oxygen as often as it enters it"
        numbers += [8, 1, 1]
        positions += [center, *hydrogen]
    return Atoms(numbers, positions, cell=oxygen.cell, pbc=True)


if __name__ == "__main__":
    main()
