"""Train PET plain and exact, metatrain's PET and MACE on the same split for the same time.

python benchmarks/against_mace.py DATA.xyz --mace PYTHON [--mtt /path/to/mtt] [--minutes 60]
    [--threads 2] [--only NAME ...] [--output FOLDER]

PYTHON is an interpreter of another environment with mace-torch, mtt the program of one with
metatrain. MACE is trained invariant (64x0e) and equivariant (64x0e + 64x1o) with its recommended
settings, ours with benchmarks/against_metatrain.yaml. Force errors are those of the validation
structures; times are those of a step in ASE, float32, 192 and 648 atoms of water. Results
are added to results/against_mace.json, so that trainings may be run one by one with --only; the
picture shows the force error against the time of a step.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ase.io
import mace_run
import torch
import yaml
from converted import water
from metatrain_run import MetatrainRun, shape_of, threads, write_split
from results_file import RESULTS, write_results
from step_times import elsewhere, step_times
from timed_training import train_for

from pet_driver.engines.ase import PETCalculator
from pet_driver.training import read_options
from pet_driver.training.log import read_log

OPTIONS = Path(__file__).with_name("against_metatrain.yaml")
IRREPS = {"MACE 64x0e": "64x0e", "MACE 64x0e + 64x1o": "64x0e + 64x1o"}
Row = dict[str, Any]


def main() -> None:
    """Train what is asked for, time it, and draw the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="extxyz with energy and forces")
    parser.add_argument("--mace", type=Path, metavar="PYTHON")
    parser.add_argument("--mtt", type=Path)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="+", metavar="NAME")
    parser.add_argument("--output", type=Path, default=Path("against_mace"))
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    chosen.output.mkdir(parents=True, exist_ok=True)
    split = write_split(chosen.data, read_options(OPTIONS).data, chosen.output)
    ase.io.write(chosen.output / "boxes.xyz", boxes())
    path = RESULTS / "against_mace.json"
    rows: dict[str, Row] = json.loads(path.read_text())["models"] if path.exists() else {}
    for name, make in contestants(chosen, split["training"]).items():
        if chosen.only is None or name in chosen.only:
            rows[name] = {"minutes": chosen.minutes, "threads": chosen.threads, **make()}
            write_results("against_mace", {"frames": split, "models": rows})
    print("| model | force RMSE, meV/Å | ms per step, 192 atoms | 648 atoms |\n|---|---|---|---|")
    for name, row in rows.items():
        times = " | ".join(f"{x['ms']:.0f}" for x in row["steps"])
        print(f"| {name} | {row['force RMSE, meV/angstrom']:.1f} | {times} |")
    draw(rows, chosen.output / "against_mace.png")


def contestants(chosen: argparse.Namespace, frames: int) -> dict[str, Callable[[], Row]]:
    """What can be trained with the programs that were given, by name."""
    found: dict[str, Callable[[], Row]] = {
        "PET plain": partial(ours, chosen, "none", frames),
        "PET exact": partial(ours, chosen, "layer", frames),
    }
    if chosen.mtt is not None:
        found["metatrain's PET"] = partial(metatrain, chosen)
    if chosen.mace is not None:
        found |= {name: partial(mace, chosen, irreps) for name, irreps in IRREPS.items()}
    return found


def boxes() -> list[ase.Atoms]:
    """Water of 192 and 648 atoms."""
    return [water(4), water(6)]


def ours(chosen: argparse.Namespace, scope: str, frames: int) -> Row:
    """Train with pet-driver, in scope none or layer."""
    content = yaml.safe_load(OPTIONS.read_text())
    content["name"] = scope
    content["model"]["scope"] = scope
    if scope == "none":
        content["model"].pop("frames", None)
        content["fit"]["symmetrization_weight"] = 0.0
    folder = chosen.output / scope
    model = train_for(chosen.minutes, content, folder, chosen.threads, frames)
    torch.set_num_threads(chosen.threads)
    calculator = PETCalculator(model, dtype="float32")
    last = read_log(folder / "log.csv")[-1]
    return {
        "force RMSE, meV/angstrom": last["force_rmse_meV_per_angstrom"],
        "epochs": last["epoch"],
        "steps": step_times(calculator, boxes()),
    }


def metatrain(chosen: argparse.Namespace) -> Row:
    """Train with metatrain: the network of the options, its own defaults for the rest."""
    model = yaml.safe_load(OPTIONS.read_text())["model"]
    folder = chosen.output / "metatrain"
    training = {"batch_size": 4, "learning_rate": 5e-4}
    run = MetatrainRun(chosen.mtt, folder, chosen.output, shape_of(model), training)
    last = run.train_for(chosen.minutes, chosen.threads)[-1]
    python, checkpoint = chosen.mtt.with_name("python"), folder / "run" / "model.ckpt"
    structures = chosen.output / "boxes.xyz"
    return {
        "force RMSE, meV/angstrom": last["force"],
        "epochs": last["epoch"],
        "steps": elsewhere(python, "metatrain", checkpoint, structures, threads(chosen.threads)),
    }


def mace(chosen: argparse.Namespace, irreps: str) -> Row:
    """Train with MACE."""
    folder = chosen.output / irreps.replace(" ", "")
    environment = threads(chosen.threads)
    model, rows = mace_run.train(
        chosen.mace, chosen.output, folder, irreps, chosen.minutes, environment
    )
    structures = chosen.output / "boxes.xyz"
    return {
        "force RMSE, meV/angstrom": rows[-1]["force"],
        "epochs": rows[-1]["epoch"],
        "steps": elsewhere(chosen.mace, "mace", model, structures, environment),
    }


def draw(rows: dict[str, Row], path: Path) -> None:
    """Force error against the time of a step."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(5.5, 4.0), layout="constrained")
    for name, row in rows.items():
        axis.plot(row["steps"][0]["ms"], row["force RMSE, meV/angstrom"], "o", label=name)
    axis.set(
        xlabel="ms per step, 192 atoms of water",
        ylabel="force RMSE, meV/Å",
        xscale="log",
        yscale="log",
    )
    axis.legend(fontsize=8)
    figure.savefig(path, dpi=150)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
