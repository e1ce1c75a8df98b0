"""Measure the cost of exact symmetry and how exact it is; prints tables.

python benchmarks/ecse.py [frames] [cost] [scaling] [memory] [exactness] [size]   (default: all)

Uses random weights and the default hyperparameters of the network, and the paper's constants of the
frames; `cost` compares all that have names and writes results/ecse_cost.json. Timings are ratios of
runs that alternate.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.io.lammpsdata import read_lammps_data
from results_file import write_results

from pet_driver.evaluation.potential import Potential
from pet_driver.evaluation.rotation_error import random_rotations, rotated
from pet_driver.files.checkpoint import random_checkpoint
from pet_driver.frames import (
    NAMED_CONSTANTS,
    FrameConstants,
    environment_frames,
    pooled_frames,
)
from pet_driver.model import Hyperparameters
from pet_driver.runtime.progress import Progress

ROOT = Path(__file__).resolve().parent.parent
SPECIES = (1, 6, 8, 11, 14, 17, 29, 74)
DEFAULT = Hyperparameters(species=SPECIES)


def main() -> None:
    """Run the chosen parts."""
    parts = {
        "frames": frame_construction,
        "cost": cost,
        "scaling": scaling,
        "memory": memory,
        "exactness": exactness,
        "size": size_consistency,
    }
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(parts))
    chosen = parser.parse_args().parts or list(parts)
    for name in chosen:
        if name not in parts:
            parser.error(f"{name!r} is not a part; choose from {', '.join(parts)}")
    warnings.simplefilter("ignore")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name in chosen:
        parts[name]()


# -- structures --


def water() -> Atoms:
    """Liquid water of the LAMMPS example."""
    path = ROOT / "lammps_examples" / "water_nvt" / "water.data"
    atoms = read_lammps_data(path, units="metal", atom_style="atomic")
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)


def rattled(atoms: Atoms, amount: float = 0.05) -> Atoms:
    """Displace the atoms at random by `amount`, angstrom."""
    atoms.rattle(amount, seed=1)
    return atoms


def structures() -> dict[str, Atoms]:
    """Structures by name, with thermal disorder."""
    return {
        "liquid water, 192 atoms": water(),
        "silicon, 64 atoms": rattled(bulk("Si", cubic=True).repeat(2)),
        "fcc copper, 108 atoms": rattled(bulk("Cu", cubic=True).repeat(3)),
        "NaCl, 64 atoms": rattled(bulk("NaCl", "rocksalt", a=5.64, cubic=True).repeat(2)),
        "bcc tungsten, 54 atoms": rattled(bulk("W", cubic=True).repeat(3)),
        "ethanol, 9 atoms": rattled(molecule("CH3CH2OH")),
    }


def perfect_crystals() -> dict[str, Atoms]:
    """Crystals at rest, whose frames all tie."""
    return {
        "perfect silicon, 64 atoms": bulk("Si", cubic=True).repeat(2),
        "perfect fcc copper, 108 atoms": bulk("Cu", cubic=True).repeat(3),
        "perfect bcc tungsten, 54 atoms": bulk("W", cubic=True).repeat(3),
    }


# -- parts --


def frame_construction() -> None:
    """Time the frames of 648 environments of liquid water, forward and backward, on one core."""
    graph = potential_of("layer").graph([water().repeat((2, 2, 1))])
    vectors = graph.vectors.requires_grad_(True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    times = []
    for _ in range(6):
        start = time.perf_counter()
        table = graph.padded.pad(vectors)[:648]
        found = environment_frames(table, graph.padded.valid[:648], DEFAULT.cutoff, DEFAULT.frames)
        torch.autograd.grad(found.frames.sum() + found.weights.square().sum(), vectors)
        times.append(time.perf_counter() - start)
    torch.set_num_threads(threads)
    print_table(
        "Frame construction, 648 atoms of liquid water, forward and backward, one core",
        ["best, s", "median, s"],
        [[f"{min(times):.3f}", f"{statistics.median(times):.3f}"]],
    )


def cost() -> None:
    """Compare the time of energy and forces in scope layer with plain PET, same weights."""
    rows, results = [], {}
    cases = {**structures(), **perfect_crystals()}
    header = ["structure", "plain, ms"]
    for name in NAMED_CONSTANTS:
        header += [f"{name}: frames per atom", "cost over plain"]
    with Progress("cost", len(cases)) as progress:
        for case, atoms in cases.items():
            potentials = [potential_of("none")]
            potentials += [potential_of("layer", frames=x) for x in NAMED_CONSTANTS.values()]
            timed = alternate([lambda p=p, atoms=atoms: p.compute(atoms) for p in potentials])
            counts = [p.frames(atoms).counts().double().mean().item() for p in potentials[1:]]
            costs = [time / timed[0] for time in timed[1:]]
            row = [case, f"{1e3 * timed[0]:.0f}"]
            for count, ratio in zip(counts, costs, strict=True):
                row += [f"{count:.1f}", f"{ratio:.2f}"]
            rows.append(row)
            results[case] = {
                "plain_ms": 1e3 * timed[0],
                "frames_per_atom": dict(zip(NAMED_CONSTANTS, counts, strict=True)),
                "cost_over_plain": dict(zip(NAMED_CONSTANTS, costs, strict=True)),
                "full_box_evaluations_of_the_original": pooled_count(atoms),
            }
            progress.advance(case)
    title = "Cost of scope layer relative to plain PET, float32, energy and forces"
    print_table(title, header, rows)
    content = {"threads": torch.get_num_threads(), "structures": results}
    print(f"\nwrote {write_results('ecse_cost', content)}")


def scaling() -> None:
    """Measure the time as a function of the number of atoms."""
    rows = []
    repeats = [(1, 1, 1), (2, 1, 1), (2, 2, 1), (2, 2, 2), (3, 3, 3)]
    plain, exact = potential_of("none"), potential_of("layer")
    with Progress("scaling", len(repeats)) as progress:
        for repeat in repeats:
            atoms = water().repeat(repeat)
            calls = [lambda p=p, atoms=atoms: p.compute(atoms) for p in (plain, exact)]
            times = alternate(calls, rounds=3)
            rows.append(
                [
                    str(len(atoms)),
                    *(f"{t:.2f}" for t in times),
                    f"{times[1] / times[0]:.2f}",
                    f"{1e3 * times[1] / len(atoms):.2f}",
                ]
            )
            progress.advance(f"{len(atoms)} atoms")
    print_table(
        "Liquid water, float32, energy and forces",
        ["atoms", "plain, s", "layer, s", "ratio", "layer, ms per atom"],
        rows,
    )


def memory() -> None:
    """Measure the peak memory of one evaluation, above that of the loaded model."""
    rows = []
    repeats = [(1, 1, 1), (2, 2, 1), (2, 2, 2), (3, 3, 3)]
    with Progress("memory", 2 * len(repeats)) as progress:
        for repeat in repeats:
            row = [str(192 * int(np.prod(repeat)))]
            for chunk in (512, 10**9):
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                    peak, messages = pool.submit(peak_of, repeat, chunk).result()
                row.append(f"{peak:.0f}")
                progress.advance(f"{row[0]} atoms")
            rows.append([*row, f"{messages:.0f}"])
    print_table(
        "Peak memory of scope layer above that at the start, MB, float32",
        ["atoms", "samples in chunks of 512", "all samples at once", "one table of messages"],
        rows,
    )


def peak_of(repeat: tuple[int, int, int], chunk: int) -> tuple[float, float]:
    """Peak memory of an evaluation and size of the messages of one layer, MB."""
    warnings.simplefilter("ignore")
    # The share of memory limits the chunks of frames, the chunk those of samples.
    share = 1e-2 if chunk < 10**6 else 1.0
    potential = potential_of("layer", chunk=chunk, memory_share=share)
    atoms = water()
    potential.compute(atoms[:30])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    atoms = atoms.repeat(repeat)
    potential.compute(atoms)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    padded = potential.graph([atoms]).padded
    numbers = padded.n_centres * padded.n_neighbors * DEFAULT.width
    return peak / 1024, 4 * numbers / 1024**2


def exactness() -> None:
    """Measure the largest relative change under rotations, random weights."""
    cases = {
        **{name: atoms for name, atoms in structures().items() if not name.startswith("NaCl")},
        "CO2": molecule("CO2"),
        "H2": molecule("H2"),
        "one atom": Atoms("O", [[0.0, 0.0, 0.0]]),
    }
    rotations = random_rotations(5, seed=4)
    rows = []
    with Progress("exactness", len(cases)) as progress:
        for name, atoms in cases.items():
            row = [name]
            for scope, dtype in (("none", "float64"), ("layer", "float64"), ("layer", "float32")):
                changes = relative_changes(potential_of(scope, dtype), atoms, rotations)
                row.append(" / ".join("-" if x is None else f"{x:.0e}" for x in changes))
            rows.append(row)
            progress.advance(name)
    print_table(
        "Largest relative change under 5 rotations: energy / forces / virial / dipole",
        ["structure", "plain PET, float64", "layer, float64", "layer, float32"],
        rows,
    )


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
    rows = []
    for scope in ("layer", "atom", "structure"):
        potential = potential_of(scope, "float64")
        small, large = potential.compute(cell).energy, potential.compute(cell.repeat(2)).energy
        one, both, after = potential.compute([first, pair, moved])
        far = np.abs(after.forces[3:] - both.forces[3:]).max() / np.abs(both.forces).max()
        rows.append(
            [
                scope,
                f"{abs(large / (8 * small) - 1):.0e}",
                f"{abs(both.energy / (2 * one.energy) - 1):.0e}",
                f"{far:.0e}",
            ]
        )
    print_table(
        "Relative errors of size consistency, float64",
        [
            "scope",
            "silicon 2x2x2 against 8 cells",
            "two distant molecules",
            "force on one as the other moves",
        ],
        rows,
    )


# -- tools --


def potential_of(
    scope: str,
    dtype: str = "float32",
    frames: FrameConstants = DEFAULT.frames,
    **options: float,
) -> Potential:
    """Potential with random weights and a dipole.

    :param options: others of `EvaluationOptions`
    """
    hyper = replace(DEFAULT, frames=frames, properties=(("dipole", 1),))
    return Potential(random_checkpoint(hyper), dtype=dtype, scope=scope, **options)


def pooled_count(atoms: Atoms) -> int:
    """Number of frames after those of all atoms are pooled and pruned together."""
    graph = potential_of("layer").graph([atoms])
    pooled, _ = pooled_frames(
        graph.padded.pad(graph.vectors),
        graph.padded.valid,
        DEFAULT.cutoff,
        DEFAULT.frames,
        graph.structure,
        1,
    )
    return len(pooled.weights)


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


def alternate(calls: list[Callable[[], object]], rounds: int = 5) -> list[float]:
    """Median time of each call, in s; the calls take turns after one round to warm up."""
    times: list[list[float]] = [[] for _ in calls]
    for repetition in range(rounds + 1):
        for call, record in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            if repetition:
                record.append(time.perf_counter() - start)
    return [statistics.median(record) for record in times]


def print_table(title: str, header: list[str], rows: Iterable[list[str]]) -> None:
    """Print a table in Markdown."""
    print(f"\n{title}\n")
    for row in (header, ["---"] * len(header), *rows):
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
