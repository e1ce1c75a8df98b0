"""Run those tests of ml-peg that need no download on models of pet-driver, exact and plain.

    pip install ml-peg rdkit        # in an environment of its own, beside pet-driver
    python benchmarks/neutral_suite.py [--tests rotational_symmetry ...] [--quick]

ml-peg is a suite by others, which knows nothing of pet-driver: each model enters as an ASE
calculator in a models file. The models are a network with random weights that knows all elements of
the tests, and `dipeptides` (H, C, N, O), which gets no score where a test has other elements; for
rotations, the figures of the structures that it knows are read from ml-peg's outputs. Curves of
diatomics and of compressed crystals are limited to these elements. Writes
results/neutral_suite.json.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from results_file import write_results

from pet_driver.files.checkpoint import random_checkpoint, save_checkpoint
from pet_driver.frames import NAMED_CONSTANTS
from pet_driver.model import Hyperparameters

SYMMETRY_TESTS = (
    "rotational_symmetry",
    "translational_symmetry",
    "jacobian_symmetry",
    "extensivity",
    "locality",
)
# Curves: the function that makes them, elements and number of points. Hydrogen at the distance of
# its covalent radius is so dense that an atom has thousands of neighbors, and is not compressed.
CURVES = {
    "diatomics": ("run_diatomics", ["H", "C", "N", "O"], 100),
    "compression": ("run_compression", ["C", "N", "O"], 25),
}
RANDOM_SPECIES = (1, 6, 7, 8, 10, 13, 16, 28)  # of all structures of the symmetry tests
SMALLEST_SCALE = 0.7  # of compressed crystals, for the same reason; ml-peg's is 0.25
CATEGORY = "physicality"


def main() -> None:
    """Run the tests, then ml-peg's analysis, and write its figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tests", nargs="+", default=[*SYMMETRY_TESTS, *CURVES])
    parser.add_argument("--quick", action="store_true", help="few points; writes no results")
    options = parser.parse_args()
    try:
        import ml_peg
    except ImportError:
        sys.exit("ml-peg is not installed here; pip install ml-peg rdkit")
    with tempfile.TemporaryDirectory() as name:
        file = write_models(Path(name))
        results: dict[str, Any] = {}
        for test in options.tests:
            run_test(test, file, options.quick)
            results[test] = scores(test, file)
            if test == "rotational_symmetry":
                results[test]["structures"] = structure_errors(list(models(Path(name))))
            print(test, json.dumps(results[test], indent=1), flush=True)
    version = importlib.metadata.version("ml-peg")
    curves = {
        test: dict(zip(("elements", "points"), x[1:], strict=True)) for test, x in CURVES.items()
    }
    found = {"ml-peg": version, "curves": curves, "smallest scale": SMALLEST_SCALE}
    found["tests"] = results
    if not options.quick:
        print(f"wrote {write_results('neutral_suite', found)}; ml-peg is in {ml_peg.__path__[0]}")


def models(folder: Path) -> dict[str, dict[str, Any]]:
    """Arguments of the calculator for each model."""
    path = str(folder / "random.safetensors")
    return {
        "random_exact": {"model": path, "scope": "layer"},
        "random_plain": {"model": path, "scope": "none"},
        "dipeptides_exact": {"model": "dipeptides", "scope": "layer"},
        "dipeptides_plain": {"model": "dipeptides", "scope": "none"},
    }


def write_models(folder: Path) -> Path:
    """Make the random model and the file that tells ml-peg of all models."""
    hyper = Hyperparameters(
        species=RANDOM_SPECIES, cutoff=4.5, width=32, frames=NAMED_CONSTANTS["speed"]
    )
    save_checkpoint(random_checkpoint(hyper, seed=0), folder / "random.safetensors")
    entries = {
        name: {
            "module": "pet_driver.engines.ase",
            "class_name": "PETCalculator",
            "device": "cpu",
            "trained_on_dispersion": True,
            "kwargs": arguments,
        }
        for name, arguments in models(folder).items()
    }
    path = folder / "models.yml"
    path.write_text(yaml.safe_dump(entries))
    return path


def run_test(test: str, file: Path, quick: bool) -> None:
    """Evaluate all models: by ml-peg's command, or for curves of our elements by its function."""
    if test not in CURVES:
        run_ml_peg("calc", test, file, "--run-mock")
        return
    function, elements, points = CURVES[test]
    code = f"""
import sys
from ml_peg import models
from pathlib import Path
models.models_file = Path({str(file)!r})
from ml_peg.models.get_models import load_models
from ml_peg.calcs.{CATEGORY}.{test} import calc_{test} as module
module.ELEMENTS = {elements}
module.N_POINTS = {5 if quick else points}
module.MIN_SCALE = {SMALLEST_SCALE}
module.RANDOM_STRUCTURES = [[1, 3, 1], [2, 3, 1]]
for name, model in load_models(None, run_mock=True).items():
    module.{function}(name, model)
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def run_ml_peg(command: str, test: str, file: Path, *options: str) -> None:
    """Run a command of ml-peg; pytest's exit code does not reach its caller."""
    words = ["--models-file", str(file), "--category", CATEGORY, "--test", test, "--no-verbose"]
    program = str(Path(sys.executable).with_name("ml_peg"))
    subprocess.run([program, command, *words, *options], check=True)


def scores(test: str, file: Path) -> dict[str, Any]:
    """What ml-peg's analysis finds: its metrics and score by model."""
    run_ml_peg("analyse", test, file)
    from ml_peg.app import APP_ROOT

    table = APP_ROOT / "data" / CATEGORY / test / f"{test}_metrics_table.json"
    rows = json.loads(table.read_text())["data"]
    return {row.pop("MLIP"): known(row) for row in rows if row["MLIP"] != "mock"}


def known(row: dict[str, Any]) -> dict[str, Any]:
    """A row in which what could not be computed is None, without the name once more."""
    return {
        key: None if str(value).lower() == "nan" else value
        for key, value in row.items()
        if key != "id"
    }


def structure_errors(names: list[str]) -> dict[str, dict[str, list[float]]]:
    """Largest change of energy, meV/atom, and force, meV/A, by model and structure it knows."""
    from ml_peg.analysis.physicality.rotational_symmetry import analyse_rotational_symmetry as peg

    found: dict[str, dict[str, list[float]]] = {}
    for name in names:
        found[name] = {}
        for structure in peg.EXPECTED_STRUCTS:
            deltas = np.array(peg.struct_deltas(name, structure) or [[np.nan] * 3])
            if np.isfinite(deltas).all():
                found[name][structure] = deltas[:, 1:].max(axis=0).tolist()
    return found


if __name__ == "__main__":
    main()
