"""Compare the speed of converted models with metatrain and pet-kokkos; the cost of exactness.

python benchmarks/converted.py plain --metatrain PYTHON [--pet-kokkos PYTHON]
python benchmarks/converted.py exact --metatrain PYTHON

PYTHON are interpreters of other environments, one with metatrain, one with pet-kokkos. The models
have the sizes of published ones and random weights, because errors do not matter here. The programs
make steps in turn, so that ratios are those of the same minutes. Prints tables and writes
results/converted_plain.json or converted_exact.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
from converted_case import OURS, SHAPES, SPECIES
from results_file import write_results
from taking_turns import Stepper

CASE = Path(__file__).with_name("converted_case.py")
WARM_UP = 3  # steps of each process that are not counted
EVERY = 8  # steps between corrections of multiple time stepping


def main() -> None:
    """Print the chosen table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("plain", "exact"))
    parser.add_argument("--metatrain", metavar="PYTHON")
    parser.add_argument("--pet-kokkos", metavar="PYTHON")
    parser.add_argument("--folder", type=Path, default=Path("converted_models"))
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2, help="of each program; for plain")
    chosen = parser.parse_args()
    if chosen.what == "plain" and not chosen.metatrain:
        parser.error("give --metatrain PYTHON, an interpreter that has metatrain")
    {"plain": plain, "exact": exact}[chosen.what](chosen)


def plain(chosen: argparse.Namespace) -> None:
    """Time energy and forces of plain PET in ASE, float32; the programs make steps in turn."""
    prepare(chosen)
    runners = {OURS: sys.executable, "metatrain": chosen.metatrain}
    if chosen.pet_kokkos:
        runners["pet-kokkos"] = chosen.pet_kokkos
    others = [name for name in runners if name != OURS]
    print(
        f"{'':26s}" + "".join(f"{name:>12s}" for name in runners) + "  ms;"
        f"  {OURS} / " + ", ".join(others) + ";  energies, eV"
    )
    rows: list[dict[str, object]] = []
    for model in ("xs", "default"):
        for system in ("64 C, diamond", "648 atoms, water"):
            found = in_turn(runners, model, system, chosen)
            row = compared(found, others)
            energies = {name: energy_of(name, chosen) for name in runners}
            print(
                f"{model + ', ' + system:26s}"
                + "".join(f"{row[f'{name}, ms']:12.1f}" for name in runners)
                + "   "
                + ", ".join(f"{row[f'relative to {name}']:.3f}" for name in others)
                + "   "
                + " ".join(f"{x:.4f}" for x in energies.values()),
                flush=True,
            )
            rows.append({"model": model, "structure": system, **row})
            rows[-1].update({f"{name}, eV": repr(x) for name, x in energies.items()})
    results = {"shapes": SHAPES, "repeats": chosen.repeats, "threads": chosen.threads, "rows": rows}
    print(f"wrote {write_results('converted_plain', results)}")


def in_turn(
    runners: dict[str, str], model: str, system: str, chosen: argparse.Namespace
) -> dict[str, list[float]]:
    """Seconds of the steps of all programs, which take turns."""
    threads = {"OMP_NUM_THREADS": str(chosen.threads), "MKL_NUM_THREADS": str(chosen.threads)}
    started = [
        Stepper(
            name,
            [python, str(CASE), "step", *words_of(name, model, system, "none", chosen)],
            chosen.folder / f"{name}.log",
            {**os.environ, **threads},
        )
        for name, python in runners.items()
    ]
    spent: dict[str, list[float]] = {name: [] for name in runners}
    try:
        for k in range(WARM_UP + chosen.repeats):
            for stepper in started[:: 1 if k % 2 else -1]:
                spent[stepper.what].append(stepper.step()[0])
    finally:
        for stepper in started:
            stepper.close()
    return {name: times[WARM_UP:] for name, times in spent.items()}


def compared(found: dict[str, list[float]], others: list[str]) -> dict[str, float]:
    """Medians in ms, and medians of the ratios of our steps to those of others."""
    row = {f"{name}, ms": 1e3 * float(np.median(times)) for name, times in found.items()}
    for name in others:
        ratios = np.array(found[OURS]) / np.array(found[name])
        row[f"relative to {name}"] = float(np.median(ratios))
    return row


def energy_of(runner: str, chosen: argparse.Namespace) -> float:
    """Energy of the structure before the first step, eV, as the process has left it."""
    return float((chosen.folder / f"{runner}.energy").read_text())


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
    subprocess.run([chosen.metatrain, str(CASE), "write", "--folder", chosen.folder], check=True)
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
    words = words_of(runner, model, system, scope, chosen)
    done = subprocess.run(
        [python, str(CASE), "time", *words], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def words_of(
    runner: str, model: str, system: str, scope: str, chosen: argparse.Namespace
) -> list[str]:
    """Arguments of a process that times one program."""
    words = ["--runner", runner, "--model", model, "--system", system, "--scope", scope]
    return [*words, "--folder", str(chosen.folder), "--repeats", str(chosen.repeats)]


if __name__ == "__main__":
    main()
