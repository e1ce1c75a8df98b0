"""Measure how exact the symmetry is, and the size consistency of the exact scopes.

python benchmarks/exactness.py [rotations] [size]   (default: both)

Uses random weights and the default hyperparameters of the network, and the paper's constants of the
frames. Prints a table of each part and writes results/ecse_PART.json.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bulk, molecule
from ecse_cases import potential_of, print_table, rattled, record, run_parts, structures

from pet_driver.evaluation.potential import Potential
from pet_driver.evaluation.rotation_error import random_rotations, rotated
from pet_driver.runtime.progress import Progress


def main() -> None:
    """Run the chosen parts."""
    parts = {
        "rotations": exactness,
        "size": size_consistency,
    }
    run_parts(parts, __doc__ or "")


def exactness() -> None:
    """Measure the largest relative change under rotations, random weights."""
    cases = {
        **{name: atoms for name, atoms in structures().items() if not name.startswith("NaCl")},
        "CO2": molecule("CO2"),
        "H2": molecule("H2"),
        "one atom": Atoms("O", [[0.0, 0.0, 0.0]]),
    }
    rotations = random_rotations(5, seed=4)
    rows, results = [], {}
    with Progress("exactness", len(cases)) as progress:
        for name, atoms in cases.items():
            row, results[name] = [name], {}
            for scope, dtype in (("none", "float64"), ("layer", "float64"), ("layer", "float32")):
                changes = relative_changes(potential_of(scope, dtype), atoms, rotations)
                row.append(" / ".join("-" if x is None else f"{x:.0e}" for x in changes))
                kinds = ("energy", "forces", "virial", "dipole")
                results[name][f"{scope}, {dtype}"] = dict(zip(kinds, changes, strict=True))
            rows.append(row)
            progress.advance(name)
    print_table(
        "Largest relative change under 5 rotations: energy / forces / virial / dipole",
        ["structure", "plain PET, float64", "layer, float64", "layer, float32"],
        rows,
    )
    record("rotations", results)


def size_consistency() -> None:
    """Measure the size consistency of all exact scopes: supercells and distant fragments.

    Also the force on a fragment as the other moves. Copies of one cell have the same frames as the
    cell, so the scope structure is extensive for them; it is not additive as soon as two fragments
    differ, even if only in their orientation.
    """
    cell = rattled(bulk("Si", cubic=True), 0.1)
    first = molecule("H2O")
    second = rotated(first, random_rotations(1, seed=2)[0])
    second.positions += [30.0, 0.0, 0.0]
    pair = first + second
    moved = pair.copy()
    moved.positions[1] += [0.1, 0.0, 0.1]
    names = (
        "silicon 2x2x2 against 8 cells",
        "two distant molecules",
        "force on one as the other moves",
    )
    rows, results = [], {}
    for scope in ("layer", "atom", "structure"):
        potential = potential_of(scope, "float64")
        small, large = potential.compute(cell).energy, potential.compute(cell.repeat(2)).energy
        one, both, after = potential.compute([first, pair, moved])
        far = np.abs(after.forces[3:] - both.forces[3:]).max() / np.abs(both.forces).max()
        errors = [abs(large / (8 * small) - 1), abs(both.energy / (2 * one.energy) - 1), far]
        rows.append([scope, *(f"{error:.0e}" for error in errors)])
        results[scope] = dict(zip(names, map(float, errors), strict=True))
    print_table("Relative errors of size consistency, float64", ["scope", *names], rows)
    record("size", results)


def relative_changes(
    potential: Potential, atoms: Atoms, rotations: np.ndarray
) -> list[float | None]:
    """Relative changes of energy, forces, virial and dipoles; None where these vanish."""
    still = potential.compute(atoms)
    worst = np.zeros(4)
    for r in rotations:
        turned = potential.compute(rotated(atoms, r))
        worst = np.maximum(
            worst,
            [
                abs(turned.energy - still.energy),
                np.abs(turned.forces @ r - still.forces).max(),
                np.abs(r.T @ turned.virial @ r - still.virial).max(),
                np.abs(turned.vectors["dipole"] @ r - still.vectors["dipole"]).max(),
            ],
        )
    values = (still.energy, still.forces, still.virial, still.vectors["dipole"])
    scales = [np.abs(x).max() for x in values]
    return [w / s if s > 1e-12 else None for w, s in zip(worst, scales, strict=True)]


if __name__ == "__main__":
    main()
