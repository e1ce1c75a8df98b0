"""Train with pet-driver and with metatrain on the same split, for the same wall-clock time.

python benchmarks/against_metatrain.py DATA.xyz --mtt /path/to/other/env/bin/mtt --minutes 30

Runs one after the other, with the same width, depth, cutoff, heads and number of threads; learning
rates and batch sizes are chosen for each trainer (`--their-rate`, `--their-batch`). Prints a table
of validation errors and epochs per hour, plots the errors against time, and writes
results/against_metatrain.json. metatrain needs a separate environment: install torch first, then
metatrain.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import yaml
from metatrain_run import MetatrainRun, shape_of, write_split
from results_file import write_results
from timed_training import train_for

from pet_driver.training import read_options
from pet_driver.training.log import read_log


def main() -> None:
    """Train with both programs and compare them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="extxyz with energy and forces")
    parser.add_argument("--mtt", type=Path, required=True, help="metatrain's program")
    parser.add_argument("--minutes", type=float, default=30.0, help="for each (default: 30)")
    parser.add_argument("--options", type=Path, default=Path(__file__).with_suffix(".yaml"))
    parser.add_argument("--threads", type=int, default=2, help="cores used by either (default: 2)")
    parser.add_argument("--their-batch", type=int, default=4)
    parser.add_argument("--their-rate", type=float, default=5e-4)
    parser.add_argument("--output", type=Path, default=Path("against_metatrain"))
    parser.add_argument("--only", choices=("ours", "theirs"), help="use the other's last results")
    chosen = parser.parse_args()
    chosen.output.mkdir(parents=True, exist_ok=True)
    settings = read_options(chosen.options)
    split = write_split(chosen.data, settings.data, chosen.output)
    if chosen.only != "theirs":
        content = yaml.safe_load(chosen.options.read_text())
        folder = chosen.output / "ours"
        train_for(chosen.minutes, content, folder, chosen.threads, split["training"])
    if chosen.only != "ours":
        train_theirs(chosen, settings.model)
    report(chosen, split)


def train_theirs(chosen: argparse.Namespace, model: dict) -> None:
    """Run `mtt train` with the same network; its log becomes theirs.csv."""
    training = {"batch_size": chosen.their_batch, "learning_rate": chosen.their_rate}
    folder = chosen.output.resolve() / "theirs"
    run = MetatrainRun(chosen.mtt, folder, chosen.output, shape_of(model), training)
    rows = run.train_for(chosen.minutes, chosen.threads)
    with (chosen.output / "theirs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[-1]))
        writer.writeheader()
        writer.writerows(rows)


def report(chosen: argparse.Namespace, split: dict[str, int]) -> None:
    """Print a table and draw learning curves from the logs of both."""
    ours = [
        {
            "seconds": 3600.0 * row["hours"],
            "epoch": row["epoch"],
            "energy": row["energy_rmse_meV_per_atom"],
            "force": row["force_rmse_meV_per_angstrom"],
        }
        for row in read_log(chosen.output / "ours" / "log.csv")
    ]
    theirs = read_log(chosen.output / "theirs.csv")
    print(f"{split['training']} training frames, {split['validation']} validation frames")
    print(
        f"{'':12s}{'force, meV/Å':>15s}{'energy, meV/atom':>18s}{'epochs/hour':>13s}{'epochs':>8s}"
    )
    table: list[dict[str, object]] = []
    for name, rows in (("pet-driver", ours), ("metatrain", theirs)):
        if not rows:
            continue
        last = rows[-1]
        # From the first row on: the time before it is spent on the setup.
        spent = last["seconds"] - rows[0]["seconds"] if len(rows) > 1 else last["seconds"]
        done = last["epoch"] - rows[0]["epoch"] if len(rows) > 1 else last["epoch"]
        hourly = 3600.0 * done / max(spent, 1e-9)
        print(
            f"{name:12s}{last['force']:15.1f}{last['energy']:18.2f}{hourly:13.1f}"
            f"{last['epoch']:8.1f}"
        )
        table.append(
            {
                "program": name,
                "force RMSE, meV/angstrom": last["force"],
                "energy RMSE, meV/atom": last["energy"],
                "epochs": last["epoch"],
                "epochs per hour": hourly,
            }
        )
    results = {"minutes": chosen.minutes, "threads": chosen.threads, "frames": split, "rows": table}
    print(f"wrote {write_results('against_metatrain', results)}")
    if ours and theirs:
        draw({"pet-driver": ours, "metatrain": theirs}, chosen.output / "curves.png")


def draw(curves: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Errors against time."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8.0, 3.4), layout="constrained")
    for axis, key, unit in zip(axes, ("force", "energy"), ("meV/Å", "meV/atom"), strict=True):
        for name, rows in curves.items():
            axis.plot([r["seconds"] / 60 for r in rows], [r[key] for r in rows], ".-", label=name)
        axis.set(xlabel="minutes", ylabel=f"{key} RMSE, {unit}", yscale="log")
    axes[0].legend()
    figure.savefig(path, dpi=150)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
