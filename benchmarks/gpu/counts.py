"""Count what a step asks of a GPU, on the pretended one of tests/rehearsal, for several versions.

python benchmarks/gpu/counts.py LABEL [--tree FOLDER]

LABEL names the version in benchmarks/results/gpu_counts.json, where it replaces one of the same
name; --tree is a checkout of it (default: this one). Bytes are those that kernels read and write.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.append(str(ROOT / "benchmarks"))
from results_file import RESULTS, write_results  # noqa: E402

NAME = "gpu_counts"
SIZES = (192, 648, 5184)
STEPS = 4  # of which the last is counted
MOVE = 1e-3  # angstrom


def main() -> None:
    """Count all cases and write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("label")
    parser.add_argument("--tree", type=Path, default=ROOT)
    options = parser.parse_args()
    folders = ("", "tests/rehearsal", "tests", "benchmarks/gpu")
    sys.path[:0] = [str(options.tree.resolve() / folder) for folder in folders]
    import pretended_gpu  # before torch

    if pretended_gpu.REASON is not None:
        sys.exit(f"GPUs cannot be pretended here: {pretended_gpu.REASON}")
    warnings.simplefilter("ignore")
    rows = {}
    with pretended_gpu.PretendedGpu() as gpu:
        for name, totals in itertools.chain(whole_structures(gpu), one_rank(gpu), kokkos(gpu)):
            rows[name] = totals
            print(name, totals, flush=True)
    path = RESULTS / f"{NAME}.json"
    versions = json.loads(path.read_text())["versions"] if path.exists() else {}
    write_results(NAME, {"versions": {**versions, options.label: rows}}, hardware=False)


def whole_structures(gpu: Any) -> Iterator[tuple[str, dict[str, int]]]:  # noqa: ANN401
    """Steps of liquid water in one process."""
    from systems import moved, potential, water

    for shape, scope, n_atoms in itertools.product(("water", "XS"), ("layer", "none"), SIZES):
        model, atoms = potential(shape, "float32", "cuda", scope=scope), water(n_atoms)
        for step in range(STEPS):
            gpu.reset()
            model.compute(moved(atoms, step, MOVE))
        yield f"{shape}, {scope}, {n_atoms} atoms", gpu.reset().totals()


def one_rank(gpu: Any) -> Iterator[tuple[str, dict[str, int]]]:  # noqa: ANN401
    """Steps of a rank of LAMMPS that is alone, with periodic images as ghosts."""
    import numpy as np
    from mpi4py import MPI
    from small_structures import unrolled
    from systems import moved, potential, water

    model, atoms = potential("water", "float32", "cuda", scope="layer"), water(192)
    domain = model.open_domain(MPI.COMM_SELF)
    ids, positions = unrolled(atoms, model.neighbor_cutoff + 0.6)
    species = np.searchsorted(model.species, atoms.numbers[ids])
    for step in range(STEPS):
        shifts = (moved(atoms, step, MOVE).positions - atoms.positions)[ids]
        gpu.reset()
        if hasattr(domain, "follow"):
            domain.follow(ids, species, positions + shifts, len(atoms))
            model.evaluate_share(domain)
        else:
            model.evaluate(domain.update(ids, species, positions + shifts, len(atoms)))
    yield "water, layer, 192 atoms, a rank of LAMMPS", gpu.reset().totals()
    domain.close()


def kokkos(gpu: Any) -> Iterator[tuple[str, dict[str, int]]]:  # noqa: ANN401
    """Steps of a rank of LAMMPS with KOKKOS, which lists the pairs anew in arrays on the GPU.

    One download is the benchmark's own, in place of LAMMPS.
    """
    from ase.data import chemical_symbols
    from mliap_arrays import KokkosArrays
    from systems import checkpoint, moved, water

    from pet_driver.engines.lammps.mliap import PetUnified
    from pet_driver.files.checkpoint import load_checkpoint, save_checkpoint

    found, atoms = checkpoint("water"), water(192)
    cutoff, numbers = found.hyper.neighbor_cutoff, list(found.hyper.species)
    names = [chemical_symbols[z] for z in numbers]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "water.safetensors"
        save_checkpoint(found, path)
        options = {"device": "cuda", "dtype": "float32"}
        unified = PetUnified(
            str(path), load_checkpoint(path).digest, names, cutoff, "metal", options
        )
        for step in range(STEPS):
            there = moved(atoms, step, MOVE)
            data = KokkosArrays(there, numbers, cutoff, cutoff + 0.6, False, "cuda")
            gpu.reset()
            unified.compute_forces(data)
    yield "water, layer, 192 atoms, KOKKOS", gpu.reset().totals()


if __name__ == "__main__":
    main()
