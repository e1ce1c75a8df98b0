"""Measure parallel efficiency of liquid water on one and two ranks; extrapolate to more ranks.

python benchmarks/domains.py [--atoms 192 648 2592 5184] [--repeats 2]

Compares exchange of messages with a wide halo. One thread per rank. Runs that are compared
alternate; the figures are medians over the repeats. Prints tables and writes results/domains.json.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io.lammpsdata import write_lammps_data
from make_water_box import length, thermal_water
from results_file import write_results

from pet_driver.files.checkpoint import load_checkpoint
from pet_driver.runtime.progress import Progress

BIN = Path(sys.executable).parent
# Molecules per side of the cube, and how often the cube is repeated.
BOXES = {192: (4, (1, 1, 1)), 648: (6, (1, 1, 1)), 2592: (6, (2, 2, 1)), 5184: (6, (2, 2, 2))}
ATOM_EVALUATIONS = 16_000  # about as many per run
SCRIPT = """
units metal
read_data water.data
timestep 0.0005
pair_style pet water dtype float32 halo {halo} self_test no
pair_coeff * * H O
velocity all create 300 1
fix integrate all nve
run 1
run {steps}
"""
# Assumed for a cluster: seconds per message and per byte between nodes, per stage of a collective.
MESSAGE, BYTE, STAGE = 5e-6, 1.0 / 5e9, 5e-6
COLLECTIVES = 4  # per step
FLUCTUATION = 0.5  # of the work of a rank, times the root of its number of atoms


@dataclass
class Timing:
    """One run: seconds per step, shares of it, atoms evaluated on the busiest rank, MB per step."""

    step: float
    model: float
    exchange: float
    lists: float
    rest: float
    evaluated: float
    megabytes: float


def main() -> None:
    """Run all cases and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--atoms", type=int, nargs="+", choices=list(BOXES), default=list(BOXES))
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    cases = [(1, "exchange"), (2, "exchange"), (2, "wide")]
    timings: dict[tuple[int, int, str], list[Timing]] = {}
    runs = len(options.atoms) * len(cases) * options.repeats
    with tempfile.TemporaryDirectory() as scratch, Progress("runs", runs) as progress:
        for n_atoms in options.atoms:
            folder = Path(scratch) / str(n_atoms)
            write_box(folder, n_atoms)
            for _ in range(options.repeats):
                for ranks, halo in cases:
                    timing = run(folder, ranks, halo, max(ATOM_EVALUATIONS // n_atoms, 2))
                    timings.setdefault((n_atoms, ranks, halo), []).append(timing)
                    progress.advance(f"{n_atoms} atoms, {ranks} ranks, {halo}")
    medians = {case: median(found) for case, found in timings.items()}
    results: dict[str, object] = {"model": "water", "repeats": options.repeats}
    results.update(report(options.atoms, medians))
    results.update(predict(options.atoms, medians))
    print(f"wrote {write_results('domains', results)}")


def write_box(folder: Path, n_atoms: int) -> None:
    """Write a box of liquid water equilibrated with a classical model."""
    per_side, repeats = BOXES[n_atoms]
    folder.mkdir()
    positions = thermal_water(per_side, 5.0)
    atoms = Atoms("OHH" * per_side**3, positions, cell=[length(per_side)] * 3, pbc=True).repeat(
        repeats
    )
    write_lammps_data(folder / "water.data", atoms, specorder=["H", "O"], masses=True)


def run(folder: Path, ranks: int, halo: str, steps: int) -> Timing:
    """Time a run of pet-lmp, after a first one that warms up."""
    (folder / "in.lmp").write_text(SCRIPT.format(halo=halo, steps=steps))
    command = [BIN / "mpiexec", "-n", str(ranks), BIN / "pet-lmp", "-in", "in.lmp", "-log", "none"]
    result = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        sys.exit(f"pet-lmp ended with code {result.returncode}:\n{result.stdout}{result.stderr}")
    number = r"([\d.e+-]+)"
    pattern = rf"{number} evaluations in {number} s: model {number} %, exchange {number} %, "
    pattern += rf"neighbor lists {number} %, LAMMPS {number} %"
    count, seconds, *shares = map(float, re.findall(pattern, result.stdout)[-1])
    evaluated = re.search(r"evaluated \d+ / \d+ / (\d+)", result.stdout)[1]
    sent = re.findall(rf"{number} MB sent per step", result.stdout)[-1]
    return Timing(seconds / count, *shares, float(evaluated), float(sent))


def median(found: list[Timing]) -> Timing:
    """Median of each number."""
    columns = zip(*(vars(timing).values() for timing in found), strict=True)
    return Timing(*(statistics.median(column) for column in columns))


def report(sizes: list[int], medians: dict[tuple[int, int, str], Timing]) -> dict[str, object]:
    """Print the tables of measured times; their rows."""
    ranks, halos = [], []
    print("\nms per step with one thread per rank; shares of the time on two ranks with exchange\n")
    print("| atoms | 1 rank | 2 ranks | efficiency | model | exchange | lists | LAMMPS |")
    print("|---|---|---|---|---|---|---|---|")
    for n in sizes:
        one, two = medians[n, 1, "exchange"], medians[n, 2, "exchange"]
        ranks.append(
            {
                "atoms": n,
                "1 rank, ms/step": 1e3 * one.step,
                "2 ranks, ms/step": 1e3 * two.step,
                "efficiency, %": 100 * one.step / two.step / 2,
                "model, %": two.model,
                "exchange, %": two.exchange,
                "lists, %": two.lists,
                "LAMMPS, %": two.rest,
            }
        )
        print(
            f"| {n} | {1e3 * one.step:.0f} | {1e3 * two.step:.0f} "
            f"| {100 * one.step / two.step / 2:.0f} % | {two.model:.1f} % | {two.exchange:.1f} % "
            f"| {two.lists:.1f} % | {two.rest:.1f} % |"
        )
    print("\nTwo ranks, exchange against a halo of as many cutoffs as there are layers\n")
    print("| atoms | time, wide / exchange | atoms evaluated per rank | MB sent per step |")
    print("|---|---|---|---|")
    for n in sizes:
        one_deep, wide = medians[n, 2, "exchange"], medians[n, 2, "wide"]
        halos.append(
            {
                "atoms": n,
                "time, wide / exchange": wide.step / one_deep.step,
                "atoms evaluated per rank, wide": wide.evaluated,
                "atoms evaluated per rank, exchange": one_deep.evaluated,
                "MB sent per step, wide": wide.megabytes,
                "MB sent per step, exchange": one_deep.megabytes,
            }
        )
        print(
            f"| {n} | {wide.step / one_deep.step:.2f} "
            f"| {wide.evaluated:.0f} / {one_deep.evaluated:.0f} "
            f"| {wide.megabytes:.3g} / {one_deep.megabytes:.3g} |"
        )
    for n in sizes:
        one = medians[n, 1, "exchange"]
        over = 100 * (100 - one.model) / one.model
        print(f"\nOne rank, {n} atoms: all but the model takes {over:.1f} % of its time", end="")
    print()
    return {"ranks": ranks, "two ranks, wide halo and exchange": halos}


def predict(sizes: list[int], medians: dict[tuple[int, int, str], Timing]) -> dict[str, object]:
    """Extrapolate the efficiency to many ranks with cubic domains from the times of two ranks.

    time = atoms * t + 5 exchanges * (26 messages * (m + M) + bytes * B) + collectives * log2(P) * S
    where t and m, pet-driver's own time per message, are measured here, and M, B, S describe a
    network. Returns the rows that it prints.
    """
    checkpoint = load_checkpoint("water")
    exchanges = 2 * checkpoint.hyper.exchanges + 1
    largest = max(sizes)
    edge = (largest / 0.1002) ** (1 / 3)
    # At this size no samples are recomputed to save memory.
    usual = min(sizes, key=lambda n: abs(n - 648))
    per_atom = medians[usual, 1, "exchange"].step / usual
    two = medians[largest, 2, "exchange"]
    # Two domains share two planes; each sends half of the bytes across both.
    per_area = two.megabytes * 1e6 / (2 * 2 * edge**2)
    small = medians[min(sizes), 2, "exchange"]
    own = small.step * small.exchange / 100 / (exchanges + COLLECTIVES)
    print(
        f"\nExtrapolation to more ranks: {1e3 * per_atom:.2f} ms per atom, {per_area:.0f} bytes "
        f"per square angstrom of boundary and step, {1e6 * own:.0f} us of pet-driver's own time "
        "per exchange (all measured here); "
        f"cubic domains with 26 neighbors, {1e6 * MESSAGE:.0f} us per message and 5 GB/s between "
        f"nodes, {1e6 * STAGE:.0f} us per stage of a collective, work per rank that fluctuates by "
        f"{FLUCTUATION:g} / sqrt(atoms), the slowest rank determines the time (all assumed)\n"
    )
    print("| atoms per rank | 64 ranks: efficiency | 4096 ranks: efficiency |")
    print("|---|---|---|")
    rows = []
    for n in (50, 200, 1000, 5000):
        cells = []
        for ranks in (64, 4096):
            side = (n / 0.1002) ** (1 / 3)
            ideal = n * per_atom
            work = ideal * (1 + FLUCTUATION * math.sqrt(2 * math.log(ranks) / n))
            traffic = 6 * side**2 * per_area * BYTE + exchanges * (own + 26 * MESSAGE)
            collective = COLLECTIVES * math.log2(ranks) * STAGE
            cells.append(100 * ideal / (work + traffic + collective))
        rows.append({"atoms per rank": n, "64 ranks, %": cells[0], "4096 ranks, %": cells[1]})
        print(f"| {n} | {' | '.join(f'{cell:.0f} %' for cell in cells)} |")
    return {"extrapolated efficiency": rows}


if __name__ == "__main__":
    np.seterr(all="raise")
    main()
