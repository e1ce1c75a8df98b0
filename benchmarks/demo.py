"""Demonstrate LAMMPS on two ranks, i-PI, symmetry and energy drift on one machine; one picture.

python benchmarks/demo.py [--record]     (make demo)

Writes its output, the picture and demo.json into demo_output; with --record results/demo.json.
Exit code 1 if a check fails.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from ase import Atoms
from results_file import RESULTS, write_results
from trajectories import pair_distribution, read_dump
from water_example import N_ATOMS, drift_per_ns, molecules_are_whole, run_lammps

from pet_driver import Potential, load_model
from pet_driver.evaluation.rotation_error import in_orientations, random_rotations
from pet_driver.files.checkpoint import load_checkpoint
from pet_driver.runtime.progress import Progress

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "demo_output"
BIN = Path(sys.executable).parent
NVT_STEPS, NVE_STEPS = 300, 100
PIMD_STEPS = 20


def main() -> int:
    """Run all parts, print the results, return 0 if every check holds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--record", action="store_true", help="write results/demo.json")
    record = parser.parse_args().record
    OUTPUT.mkdir(exist_ok=True)
    print_title("LAMMPS: 64 water molecules, NVT 300 K, 2 ranks")
    thermo = run_lammps(OUTPUT / "nvt", "nvt", NVT_STEPS, "float32")
    print_title("LAMMPS: NVE, float64, 2 ranks")
    start = OUTPUT / "nvt" / "final.data"
    nve = run_lammps(OUTPUT / "nve", "nve", NVE_STEPS, "float64", data=start)
    print_title("i-PI: path-integral water, 8 beads")
    pimd = run_ipi()
    print_title("rotational symmetry")
    final = read_dump(OUTPUT / "nvt" / "water.lammpstrj")[-1]
    plain, exact = compare_symmetry(final)
    picture = draw(thermo, nve)
    checks = {
        "ECSE changes the energy by less than 1e-10 of it": bool(exact[0] < 1e-10),
        "ECSE changes the forces by less than 1e-8 of the largest": bool(exact[1] < 1e-8),
        "plain PET changes it by more": bool(plain[0] > 1e-10),
        "temperature between 200 and 400 K at the end": bool(200 < thermo["Temp"][-1] < 400),
        "every O has its two H": molecules_are_whole(final),
        "i-PI finished": len(pimd) == PIMD_STEPS + 1,
    }
    figures = {
        "LAMMPS, 2 ranks, float32, ms/step": float(thermo["ms_per_step"]),
        "NVE, float64, fs": NVE_STEPS * 0.5,
        "NVE, range of the total energy, meV/atom": 1e3 * float(np.ptp(nve["TotEng"])) / N_ATOMS,
        "NVE, slope, meV/atom/ns": drift_per_ns(nve),
        "i-PI, range of the conserved quantity, meV/atom": 1e3
        * float(np.ptp(pimd[:, 2]))
        / N_ATOMS,
    }
    print_title("results")
    for name, figure in figures.items():
        print(f"{name + ':':52s}{figure:.4g}")
    print("(in so short a time the slope is mostly due to the vibrations)")
    for name, holds in checks.items():
        print(f"{'ok  ' if holds else 'FAIL'} {name}")
    print(f"\npicture: {picture}")
    folder = RESULTS if record else OUTPUT
    write_results("demo", {"figures": figures, "checks": checks}, folder=folder)
    return 0 if all(checks.values()) else 1


def print_title(text: str) -> None:
    """Print the title of a part."""
    print(f"\n== {text}", flush=True)


def run_ipi() -> np.ndarray:
    """Run the path-integral example with i-PI; returns the rows of its properties."""
    source = ROOT / "ipi_inputs" / "water_pimd"
    folder = OUTPUT / "pimd"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    text = (folder / "input.xml").read_text()
    text = re.sub(r"<total_steps>.*?<", f"<total_steps> {PIMD_STEPS} <", text)
    # In a separate folder for sockets other runs are not disturbed, and no files remain.
    with tempfile.TemporaryDirectory(prefix="pet_demo_") as sockets:
        text = text.replace("<simulation ", f"<simulation sockets_prefix='{sockets}/' ")
        (folder / "input.xml").write_text(text)
        with (folder / "ipi.log").open("w") as log:
            server = subprocess.Popen(
                [BIN / "i-pi", "input.xml"], cwd=folder, stdout=log, stderr=subprocess.STDOUT
            )
            command = [BIN / "pet-driver", "ipi", "water", "--template", "init.xyz"]
            driver = subprocess.Popen(
                [*command, "--unix", "pet", "--prefix", f"{sockets}/"], cwd=folder
            )
            try:
                watch(server, driver, folder / "simulation.out")
            finally:
                for process in (driver, server):
                    if process.poll() is None:
                        process.kill()
                    process.wait()
    return np.loadtxt(folder / "simulation.out")


def watch(server: subprocess.Popen, driver: subprocess.Popen, output: Path) -> None:
    """Show the number of steps that i-PI has written, until it ends."""
    with Progress("i-PI steps", PIMD_STEPS) as progress:
        while server.poll() is None:
            done = rows_in(output)
            if done - 1 > progress.done:
                progress.advance(steps=done - 1 - progress.done)
            if driver.poll() not in (None, 0):
                sys.exit(f"pet-driver ipi ended with code {driver.returncode}")
            time.sleep(0.2)
        progress.advance(steps=max(rows_in(output) - 1 - progress.done, 0))


def rows_in(path: Path) -> int:
    """Count the lines of a file that are not comments; 0 without the file."""
    if not path.exists():
        return 0
    return sum(1 for line in path.open() if not line.startswith("#"))


def compare_symmetry(atoms: Atoms) -> tuple[tuple[float, float], tuple[float, float]]:
    """Print the changes of plain PET and ECSE under rotations; relative, of energy and forces."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a warning that the model was trained in another scope
        plain = Potential(load_checkpoint("water"), dtype="float64", scope="none")
    exact = load_model("water", dtype="float64")
    molecule = Atoms("OHH", [[0.0, 0.0, 0.0], [0.77, 0.58, 0.1], [-0.75, 0.60, 0.0]])
    results = []
    print("the same weights, largest change over 10 random rotations:")
    print(f"{'':28s}{'energy, meV/atom':>18s}{'forces, meV/A':>16s}{'relative':>20s}")
    for label, potential in {"plain PET": plain, "ECSE (scope layer)": exact}.items():
        for name, structure in {"one molecule": molecule, "liquid": atoms}.items():
            turns = np.concatenate([np.eye(3)[None], random_rotations(10)])
            found = in_orientations(potential, structure, turns)
            energy, force = found.largest_changes()
            relative = energy / abs(found.energies[0]), force / np.abs(found.forces[0]).max()
            print(
                f"{label + ', ' + name:28s}{1e3 * energy / len(structure):18.3g}{1e3 * force:16.3g}"
                f"{relative[0]:11.1e}{relative[1]:9.1e}"
            )
        results.append(relative)
    print("(these weights were trained with frames; as plain PET they are far less accurate)")
    return results[0], results[1]


def draw(thermo: dict, nve: dict) -> Path:
    """Draw radial distributions, temperature and energy against time."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    frames = read_dump(OUTPUT / "nvt" / "water.lammpstrj")[5:]
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    for pair, color in {"OO": "tab:red", "OH": "tab:blue"}.items():
        r, g = pair_distribution(frames, pair)
        left.plot(r, g, color=color, label=f"{pair[0]}-{pair[1]}")
    left.set(xlabel="r / Å", ylabel="g(r)", ylim=(0, 5), xlim=(0.8, 6), title="radial distribution")
    left.legend()
    middle.plot(thermo["Step"] * 0.5, thermo["Temp"], color="tab:orange")
    middle.set(xlabel="time / fs", ylabel="temperature / K", title="NVT")
    energy = (nve["TotEng"] - nve["TotEng"][0]) / 192 * 1e3
    right.plot(nve["Step"] * 0.5, energy, label="total, NVE")
    potential = (nve["PotEng"] - nve["PotEng"][0]) / 192 * 1e3
    right.plot(nve["Step"] * 0.5, potential, label="potential, NVE", alpha=0.5)
    right.set(xlabel="time / fs", ylabel="energy change / meV per atom", title="NVE")
    right.legend()
    path = OUTPUT / "water.png"
    figure.savefig(path, dpi=130)
    return path


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
