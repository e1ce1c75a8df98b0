"""Compare the speed of converted models with metatrain and pet-kokkos; the cost of exactness.

python benchmarks/converted.py plain --metatrain PYTHON [--pet-kokkos PYTHON]
python benchmarks/converted.py exact --metatrain PYTHON

PYTHON are interpreters of other environments, one with metatrain, one with pet-kokkos. The models
have the sizes of published ones and random weights, because errors do not matter here. Prints
tables and writes results/converted_plain.json or converted_exact.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from results_file import write_results

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
RUNNERS = ("pet-driver", "metatrain", "pet-kokkos")
EVERY = 8  # steps between corrections of multiple time stepping


def main() -> None:
    """Print the chosen table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("plain", "exact", "write", "time"))
    parser.add_argument("--metatrain", metavar="PYTHON")
    parser.add_argument("--pet-kokkos", metavar="PYTHON")
    parser.add_argument("--folder", type=Path, default=Path("converted_models"))
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--runner", choices=RUNNERS, help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    parser.add_argument("--scope", default="none", help=argparse.SUPPRESS)
    parser.add_argument("--system", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    {"plain": plain, "exact": exact, "write": write, "time": time_one}[chosen.what](chosen)


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


# -- tables --


def plain(chosen: argparse.Namespace) -> None:
    """Time energy and forces of plain PET in ASE, float32, one program after the other."""
    prepare(chosen)
    runners = {"metatrain": chosen.metatrain, "pet-driver": sys.executable}
    if chosen.pet_kokkos:
        runners["pet-kokkos"] = chosen.pet_kokkos
    print(f"{'':34s}" + "".join(f"{name:>14s}" for name in runners) + "    ms; energies, eV")
    rows: list[dict[str, object]] = []
    for model in ("xs", "default"):
        for system in ("64 C, diamond", "648 atoms, water"):
            found = {
                name: run(python, name, model, system, chosen) for name, python in runners.items()
            }
            times = "".join(f"{1e3 * found[name]['seconds']:14.1f}" for name in runners)
            energies = " ".join(f"{found[name]['energy']:.4f}" for name in runners)
            print(f"{model + ', ' + system:34s}{times}    {energies}", flush=True)
            rows.append({"model": model, "structure": system})
            rows[-1].update({f"{name}, ms": 1e3 * found[name]["seconds"] for name in runners})
            rows[-1].update({f"{name}, eV": repr(found[name]["energy"]) for name in runners})
    results = {"shapes": SHAPES, "repeats": chosen.repeats, "rows": rows}
    print(f"wrote {write_results('converted_plain', results)}")


def exact(chosen: argparse.Namespace) -> None:
    """Time plain PET, exact forces, and exact forces by multiple time stepping for water."""
    prepare(chosen)
    print(
        f"{'192 atoms of water, ms per step':34s}{'plain':>10s}{'direct':>10s}{'atom':>10s}"
        f"{'every 8 steps':>15s}{'as ratio':>10s}"
    )
    rows: list[dict[str, object]] = []
    for model in ("two layers", "three layers"):
        found = {
            scope: 1e3
            * run(sys.executable, "pet-driver", model, "192 atoms, water", chosen, scope)["seconds"]
            for scope in ("none", "direct", "atom")
        }
        # Plain forces at each step; at every eighth also the exact and, once more, the plain ones.
        mixed = found["none"] + (found["atom"] + found["none"]) / EVERY
        print(
            f"{model:34s}{found['none']:10.1f}{found['direct']:10.1f}{found['atom']:10.0f}"
            f"{mixed:15.0f}{mixed / found['none']:10.1f}",
            flush=True,
        )
        rows.append(
            {
                "model": model,
                "plain, ms": found["none"],
                "direct forces, ms": found["direct"],
                "exact (atom), ms": found["atom"],
                f"exact every {EVERY} steps, ms": mixed,
                "relative to plain": mixed / found["none"],
            }
        )
    results = {"structure": "192 atoms, water", "shapes": SHAPES, "rows": rows}
    print(f"wrote {write_results('converted_exact', results)}")


def prepare(chosen: argparse.Namespace) -> None:
    """Write checkpoints with metatrain and convert them, unless this was done before."""
    chosen.folder.mkdir(exist_ok=True)
    if all((chosen.folder / f"{name}.safetensors").exists() for name in SHAPES):
        return
    if not chosen.metatrain:
        sys.exit("give --metatrain PYTHON, an interpreter that has metatrain")
    subprocess.run([chosen.metatrain, __file__, "write", "--folder", chosen.folder], check=True)
    from pet_driver.files.checkpoint import save_checkpoint
    from pet_driver.files.conversion import convert

    for name in SHAPES:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            checkpoint = convert(chosen.folder / f"{name}.ckpt")
        save_checkpoint(checkpoint, chosen.folder / f"{name}.safetensors")
        write_for_kokkos(chosen.folder / f"{name}.ckpt", chosen.folder / f"{name}-kokkos")


def write_for_kokkos(source: Path, path: Path) -> None:
    """Write the same weights as pet-kokkos (github.com/peterspackman/pet-kokkos) reads them."""
    import torch
    from safetensors.torch import save_file

    from pet_driver.files.pickled import read_pickled

    content = read_pickled(source)
    hypers, weights = content["model_data"]["model_hypers"], content["model_state_dict"]

    wanted = ("d_pet", "d_head", "d_node", "d_feedforward", "num_heads", "num_attention_layers",
              "num_gnn_layers", "normalization", "activation", "transformer_type",
              "featurizer_type", "attention_temperature", "cutoff", "cutoff_width",
              "cutoff_function", "num_neighbors_adaptive", "adaptive_cutoff_method",
              "cutoff_width_adaptive", "system_conditioning", "max_charge",
              "max_spin_multiplicity", "zbl")  # fmt: skip
    state = {name.removeprefix("backend."): x for name, x in weights.items() if torch.is_tensor(x)}
    tensors = {
        name: x.detach().to(torch.float32).contiguous()
        for name, x in state.items()
        if torch.is_floating_point(x)
        and not name.startswith(("additive_models", "scaler"))
        and "non_conservative" not in name
    }
    save_file(tensors, f"{path}.safetensors")
    description = {
        "format_version": 1,
        "architecture": "pet",
        "target": "energy",
        "hypers": {
            **{key: hypers[key] for key in wanted},
            "head_dim": hypers["d_pet"] // hypers["num_heads"],
            "num_readout_layers": 1,
            "long_range_enabled": False,
        },
        "length_unit": "angstrom",
        "energy_unit": "eV",
        "energy_scale": 1.0,
        "n_species": len(SPECIES),
        "atomic_types": SPECIES,
        "species_to_index": state["species_to_species_index"].tolist(),
        "composition_energies": [0.0] * len(SPECIES),
    }
    Path(f"{path}.json").write_text(json.dumps(description))


def run(
    python: str,
    runner: str,
    model: str,
    system: str,
    chosen: argparse.Namespace,
    scope: str = "none",
) -> dict[str, float]:
    """Time one program with one model and one system, in a separate process."""
    words = ["--runner", runner, "--model", model, "--system", system, "--scope", scope]
    words += ["--folder", str(chosen.folder), "--repeats", str(chosen.repeats)]
    done = subprocess.run(
        [python, __file__, "time", *words], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


# -- inside the processes --


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
