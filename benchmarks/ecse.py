"""Measure the cost of exact symmetry.

python benchmarks/ecse.py [frames] [cost] [scaling] [memory]   (default: all)

Uses random weights and the default hyperparameters of the network, and the paper's constants of the
frames; `cost` compares all that have names. Timings are ratios of runs that alternate. Prints a
table of each part and writes results/ecse_PART.json.
"""

from __future__ import annotations

import resource
import statistics
import time
import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import torch
from ase import Atoms
from ecse_cases import (
    DEFAULT,
    perfect_crystals,
    potential_of,
    print_table,
    record,
    run_parts,
    structures,
    water,
)

from pet_driver.frames import NAMED_CONSTANTS, environment_frames, pooled_frames
from pet_driver.runtime.progress import Progress


def main() -> None:
    """Run the chosen parts."""
    parts = {
        "frames": frame_construction,
        "cost": cost,
        "scaling": scaling,
        "memory": memory,
    }
    run_parts(parts, __doc__ or "")


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
    best, median = min(times), statistics.median(times)
    print_table(
        "Frame construction, 648 atoms of liquid water, forward and backward, one core",
        ["best, s", "median, s"],
        [[f"{best:.3f}", f"{median:.3f}"]],
    )
    record("frames", {"best, s": best, "median, s": median}, threads=1)


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
    record("cost", results)


def scaling() -> None:
    """Measure the time as a function of the number of atoms."""
    rows, results = [], {}
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
            results[f"{len(atoms)} atoms"] = {
                "plain, s": times[0],
                "layer, s": times[1],
                "layer, ms per atom": 1e3 * times[1] / len(atoms),
            }
            progress.advance(f"{len(atoms)} atoms")
    print_table(
        "Liquid water, float32, energy and forces",
        ["atoms", "plain, s", "layer, s", "ratio", "layer, ms per atom"],
        rows,
    )
    record("scaling", results)


def memory() -> None:
    """Measure the peak memory of one evaluation, above that of the loaded model."""
    rows = []
    header = ["atoms", "samples in chunks of 512", "all samples at once", "one table of messages"]
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
        header,
        rows,
    )
    record("memory", as_mapping([f"{name}, MB" for name in header], rows))


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


def alternate(calls: list[Callable[[], object]], rounds: int = 5) -> list[float]:
    """Median time of each call, in s; the calls take turns after one round to warm up."""
    times: list[list[float]] = [[] for _ in calls]
    for repetition in range(rounds + 1):
        for call, found in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            if repetition:
                found.append(time.perf_counter() - start)
    return [statistics.median(found) for found in times]


def as_mapping(header: list[str], rows: Iterable[list[str]]) -> dict[str, dict[str, float]]:
    """Numbers of a table by the first cell of their row and by their column."""
    return {row[0]: dict(zip(header[1:], map(float, row[1:]), strict=True)) for row in rows}


if __name__ == "__main__":
    main()
