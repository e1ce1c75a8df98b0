"""Compare sets of orientations by the error of the mean force over them.

python benchmarks/orientations.py MODEL STRUCTURE --name NAME [--reference 25] [--sets 4]

MODEL is the name of a shipped model, a model file, or a checkpoint of metatrain, taken as plain
PET. STRUCTURE is a file that ASE reads, of which the first structure is used. The mean over
--reference icosahedral groups of 60 orientations, each turned at random, is what the others are
compared with. Each kind of set is drawn --sets times. Prints a table and adds the model to
results/orientations.json.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
from results_file import RESULTS, write_results
from scipy.spatial.transform import Rotation
from symmetrize import plain_model

from pet_driver.evaluation.potential import Potential
from pet_driver.evaluation.rotation_error import in_orientations, random_rotations
from pet_driver.runtime.progress import Progress

SETS: dict[str, Callable[[int], np.ndarray]] = {
    "12 at random": lambda seed: random_rotations(12, seed),
    "24 at random": lambda seed: random_rotations(24, seed),
    "12, tetrahedral group turned at random": lambda seed: turned_group("T", seed),
    "24, octahedral group turned at random": lambda seed: turned_group("O", seed),
    "60, icosahedral group turned at random": lambda seed: turned_group("I", seed),
}


def main() -> None:
    """Compare the sets for one model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("structure", type=Path)
    parser.add_argument("--name", required=True, help="of the model in the file of results")
    parser.add_argument("--reference", type=int, default=25)
    parser.add_argument("--sets", type=int, default=4)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    potential = Potential(plain_model(chosen.model), dtype="float64", scope="none")
    atoms = ase.io.read(chosen.structure, index=0)
    groups = [turned_group("I", 1000 + k) for k in range(chosen.reference)]
    evaluations = 60 * chosen.reference + chosen.sets * sum(len(make(0)) for make in SETS.values())
    with Progress("orientations", evaluations) as progress:

        def mean(rotations: np.ndarray) -> np.ndarray:
            return in_orientations(potential, atoms, rotations, progress.advance).forces.mean(0)

        means = np.array([mean(group) for group in groups])
        reference = means.mean(0)
        error = np.sqrt(means.var(axis=0, ddof=1).mean() / len(means))
        found = {
            kind: float(np.mean([rms(mean(make(k)) - reference) for k in range(chosen.sets)]))
            for kind, make in SETS.items()
        }
    found["error of the reference"] = float(1e3 * error)
    print("| orientations | error of the mean force, meV/A |\n|---|---|")
    for kind, value in found.items():
        print(f"| {kind} | {value:.3g} |")
    path = RESULTS / "orientations.json"
    known = json.loads(path.read_text())["models"] if path.exists() else {}
    row = {"atoms": len(atoms), "sets of each kind": chosen.sets, "meV per angstrom": found}
    print(f"wrote {write_results('orientations', {'models': {**known, chosen.name: row}})}")


def turned_group(name: str, seed: int) -> np.ndarray:
    """Rotations of a group (T, O or I), all turned by one random rotation, (n, 3, 3)."""
    group = Rotation.create_group(name).as_matrix()
    turned: np.ndarray = group @ random_rotations(1, seed)
    return turned


def rms(differences: np.ndarray) -> float:
    """Root mean square over components, meV/angstrom."""
    return 1e3 * float(np.sqrt((differences**2).mean()))


if __name__ == "__main__":
    main()
