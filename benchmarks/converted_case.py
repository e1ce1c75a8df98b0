"""Time steps of one program with one converted model; see benchmarks/converted.py.

PYTHON benchmarks/converted_case.py write|time|step --folder FOLDER [...]

Runs in the environment of each program. "write" makes checkpoints of metatrain with random weights;
"time" prints the median time of some steps, "step" makes steps when told to.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from taking_turns import Turns

SPECIES = [1, 6, 8]
# Shapes: width, node width, message layers, attention layers, heads, cutoff, adapted neighbors.
SHAPES = {
    "xs": dict(  # as uPET XS
        d_pet=128, d_node=512, d_head=128, d_feedforward=256, num_gnn_layers=2,
        num_attention_layers=1, num_heads=8, cutoff=7.5, num_neighbors_adaptive=8,
    ),
    "default": dict(  # metatrain's own defaults
        d_pet=128, d_node=256, d_head=128, d_feedforward=256, num_gnn_layers=2,
        num_attention_layers=2, num_heads=8, cutoff=4.5, num_neighbors_adaptive=None,
    ),
    "three layers": dict(
        d_pet=64, d_node=128, d_head=64, d_feedforward=128, num_gnn_layers=3,
        num_attention_layers=1, num_heads=4, cutoff=7.5, num_neighbors_adaptive=8,
    ),
    "two layers": dict(
        d_pet=64, d_node=128, d_head=64, d_feedforward=128, num_gnn_layers=2,
        num_attention_layers=1, num_heads=4, cutoff=7.5, num_neighbors_adaptive=8,
    ),
}  # fmt: skip
OURS = "pet-driver"
RUNNERS = (OURS, "metatrain", "pet-kokkos")


def main() -> None:
    """Do what the parent asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("write", "time", "step"))
    parser.add_argument("--folder", type=Path, required=True, help="of the models")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--runner", choices=RUNNERS)
    parser.add_argument("--model")
    parser.add_argument("--scope", default="none")
    parser.add_argument("--system")
    chosen = parser.parse_args()
    {"write": write, "time": time_one, "step": step}[chosen.what](chosen)


def systems() -> dict[str, Atoms]:
    """Structures by name; water is a lattice of randomly rotated molecules at 1 g/cm^3."""
    return {
        "64 C, diamond": bulk("C", "diamond", a=3.567, cubic=True) * (2, 2, 2),
        "648 atoms, water": water(6),
        "192 atoms, water": water(4),
    }


def water(count: int) -> Atoms:
    """Cube of `count` molecules a side."""
    rng = np.random.default_rng(0)
    molecule = np.array([[0.0, 0.0, 0.0], [0.76, 0.59, 0.0], [-0.76, 0.59, 0.0]])
    positions = []
    for corner in np.ndindex(count, count, count):
        axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        positions.append(3.104 * np.array(corner) + molecule @ axes.T)
    atoms = Atoms("OHH" * count**3, np.concatenate(positions), cell=[3.104 * count] * 3, pbc=True)
    atoms.wrap()
    return atoms


def time_one(chosen: argparse.Namespace) -> None:
    """Print the median time of evaluations of slightly different structures, as in dynamics."""
    warnings.simplefilter("ignore")
    atoms = systems()[chosen.system]
    atoms.calc = calculator(chosen)
    energy, rng, spent = atoms.get_potential_energy(), np.random.default_rng(0), []
    repeats = chosen.repeats if chosen.scope != "atom" else 2
    for _ in range(repeats + 2):
        atoms.positions += rng.normal(scale=0.002, size=atoms.positions.shape)
        start = time.perf_counter()
        atoms.get_forces()
        spent.append(time.perf_counter() - start)
    print(json.dumps({"seconds": float(np.median(spent[2:])), "energy": float(energy)}))


def step(chosen: argparse.Namespace) -> None:
    """Make steps when told to, as in dynamics."""
    warnings.simplefilter("ignore")
    atoms, rng, turns = systems()[chosen.system], np.random.default_rng(0), Turns()
    atoms.calc = calculator(chosen)
    (chosen.folder / f"{chosen.runner}.energy").write_text(
        repr(float(atoms.get_potential_energy()))
    )
    while True:
        atoms.positions += rng.normal(scale=0.002, size=atoms.positions.shape)
        turns.next()
        atoms.get_forces()


def calculator(chosen: argparse.Namespace):  # noqa: ANN201 (of three packages)
    """Calculator of ASE that the chosen program offers."""
    path = chosen.folder / chosen.model
    if chosen.runner == "metatrain":
        from metatomic_ase import MetatomicCalculator
        from metatrain.utils.io import load_model

        return MetatomicCalculator(load_model(f"{path}.ckpt").export())
    if chosen.runner == "pet-kokkos":
        from pet_kokkos.ase import PETCalculator as KokkosCalculator

        return KokkosCalculator(str(path.with_name(f"{path.name}-kokkos")))
    from pet_driver.engines.ase import PETCalculator
    from pet_driver.evaluation.potential import load_model as load

    if chosen.scope == "direct":
        return PETCalculator(load(f"{path}.safetensors", scope="none").direct())
    return PETCalculator(load(f"{path}.safetensors", scope=chosen.scope))


def write(chosen: argparse.Namespace) -> None:
    """Write checkpoints with random weights; runs in the environment of metatrain."""
    import copy

    import torch
    from metatrain.pet import PET
    from metatrain.utils.architectures import get_default_hypers
    from metatrain.utils.data import DatasetInfo
    from metatrain.utils.data.target_info import get_energy_target_info, get_generic_target_info

    energy = get_energy_target_info("energy", {"quantity": "energy", "unit": "eV"})
    forces = {
        "quantity": "force",
        "unit": "eV/Angstrom",
        "type": {"cartesian": {"rank": 1}},
        "num_subtargets": 1,
        "sample_kind": "atom",
        "description": "",
    }
    name = "non_conservative_forces"
    targets = {"energy": energy, name: get_generic_target_info(name, forces)}
    for shape, options in SHAPES.items():
        torch.manual_seed(0)
        hypers = copy.deepcopy(get_default_hypers("pet")["model"])
        hypers.update(options)
        model = PET(hypers, DatasetInfo("Angstrom", SPECIES, targets))
        torch.save(model.get_checkpoint(), chosen.folder / f"{shape}.ckpt")


if __name__ == "__main__":
    main()
