"""Repeat the experiments of the paper on open data: is exactness free of a loss of accuracy?

python benchmarks/paper.py DATA_FOLDER --minutes 30 [--only TEXT ...] [--processes 1]
    [--at-once 2] [--device cpu] [--output FOLDER]
python benchmarks/paper.py --report

Each experiment is trained plain (with random rotations) and exact (scope layer), for the same time
and with the same options, so the machine should do nothing else meanwhile: liquid water with
different numbers of layers and cutoffs, random CH4 with energies alone and with forces (learning
curves), alloys of 25 elements, silicon, lithium, and dipoles of dipeptides. Each plain model is
also evaluated with the average over frames of the paper itself (`paper_averages.py`), which needs
no further training. Trainings that
results/paper.json holds are not repeated, so the command continues where it was interrupted.
Several run at once, plain beside exact, on their shares of the cores. --only chooses experiments
whose name contains a text. Prints the table of test errors and their ratios, and draws the learning
curves.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from paper_experiments import Experiment, experiments
from results_file import RESULTS, usable_cores, write_results

from pet_driver.files.checkpoint import load_checkpoint

# Errors with ECSE over errors without, forces, from the tables of arXiv 2305.19302.
PAPER = {"COLL": 1.00, "MnO": 1.00, "HME21": 1.01, "HEA": 1.00}
FORCE, ENERGY = "force_rmse_meV_per_angstrom", "energy_rmse_meV_per_atom"
NAMES = {False: "plain", True: "exact"}


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_folder", type=Path, nargs="?", help="holds a folder for each set")
    parser.add_argument("--minutes", type=float, default=30.0, help="of each training")
    parser.add_argument("--only", nargs="+", metavar="TEXT", default=[""])
    parser.add_argument("--processes", type=int, default=1, help="of each training")
    parser.add_argument("--at-once", type=int, default=2, help="trainings at the same time")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, default=Path("paper"))
    parser.add_argument("--report", action="store_true", help="train nothing")
    chosen = parser.parse_args()
    found = known()
    if not chosen.report:
        if chosen.data_folder is None:
            parser.error("give the folder with the data, or --report")
        if not chosen.data_folder.is_dir():
            parser.error(f"there is no folder {chosen.data_folder}; give the one with the data")
        # Each experiment once before any is repeated, so that an interrupted run has the most.
        jobs = sorted(missing(found, chosen.only), key=lambda job: job.seed)
        print(f"{len(jobs)} trainings of {chosen.minutes:g} minutes", flush=True)
        complete(jobs, chosen, found)
    report(found)
    draw(found, chosen.output / "paper.png")


def known() -> dict[str, Any]:
    """Results of earlier calls, by the name of the experiment."""
    path = RESULTS / "paper.json"
    return json.loads(path.read_text())["experiments"] if path.exists() else {}


@dataclass(frozen=True)
class Job:
    """One training of an experiment that is not among the results."""

    experiment: Experiment
    exact: bool
    seed: int

    @property
    def name(self) -> str:
        """Name of the model and of its folder."""
        words = self.experiment.name.replace(",", "").split()
        return "_".join([*words, NAMES[self.exact], str(self.seed)])


def missing(found: dict[str, Any], texts: list[str]) -> Iterator[Job]:
    """Trainings of chosen experiments that results lack, plain and exact one after the other.

    :param texts: an experiment is chosen if its name contains one of them
    """
    for experiment in experiments():
        if not any(text in experiment.name for text in texts):
            continue
        rows = found.get(experiment.name, {"trainings": []})["trainings"]
        done = {(row["scope"], row["seed"]) for row in rows}
        for seed in range(1, experiment.seeds + 1):
            for exact, scope in NAMES.items():
                if (scope, seed) not in done:
                    yield Job(experiment, exact, seed)


def complete(jobs: list[Job], chosen: argparse.Namespace, found: dict[str, Any]) -> None:
    """Train what is missing, some at a time, and write the results after each training."""
    with ThreadPoolExecutor(chosen.at_once) as pool:
        waited = {pool.submit(train, job, chosen): job for job in jobs}
        try:
            for future in as_completed(waited):
                job, row = waited[future], future.result()
                rows = found.setdefault(
                    job.experiment.name, {"study": job.experiment.study, "trainings": []}
                )
                rows["trainings"].append(row)
                write_results("paper", {"ratios of the paper": PAPER, "experiments": found})
        finally:
            pool.shutdown(cancel_futures=True)


def row_of(job: Job, card: dict[str, Any], chosen: argparse.Namespace) -> dict[str, Any]:
    """What is recorded of one training."""
    return {
        "scope": NAMES[job.exact],
        "seed": job.seed,
        "minutes": chosen.minutes,
        "processes": chosen.processes,
        "at once": chosen.at_once,
        "device": card["device"],
        "frames": job.experiment.count,
        **{key: card[key] for key in ("steps", "epochs")},
        "errors": card["errors"]["test"],
    }


def train(job: Job, chosen: argparse.Namespace) -> dict[str, Any]:
    """Train once, on this training's share of the cores; what is recorded of it."""
    folder = chosen.output / job.name
    folder.mkdir(parents=True, exist_ok=True)
    data = job.experiment.prepare(chosen.data_folder, folder / "data")
    path = folder / "options.yaml"
    options = job.experiment.options(job.name, job.exact, job.seed, chosen.minutes)
    path.write_text(yaml.safe_dump(options))
    command = [sys.executable, "-m", "pet_driver.cli.main", "train", str(path)]
    command += ["-o", str(folder), "--data-folder", str(data), "--device", chosen.device]
    command += ["--processes", str(chosen.processes)]
    threads = max(usable_cores() // (chosen.at_once * chosen.processes), 1)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    output = folder / "training.log"
    with output.open("a") as log:
        ended = subprocess.run(command, env=environment, stdout=log, stderr=log)
    if ended.returncode:
        raise SystemExit(f"the training {job.name} failed: {output.read_text().splitlines()[-1]}")
    row = row_of(job, load_checkpoint(folder / f"{job.name}.safetensors").card, chosen)
    if not job.exact:
        row["same weights"] = averages(folder, data, environment)
    print(f"trained {job.name}", flush=True)
    return row


def averages(folder: Path, data: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Errors of a plain model as it is, and with the average over frames of the paper.

    :param folder: of the training; data: folder of its data
    """
    command = [sys.executable, str(Path(__file__).with_name("paper_averages.py")), str(folder)]
    command += ["--data-folder", str(data)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"{folder.name} was not averaged: {ended.stderr.splitlines()[-1]}")
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def lines(found: dict[str, Any]) -> Iterator[tuple[str, str, float, float, float, float]]:
    """Experiment, kind of error, mean errors plain and exact, and their spreads over seeds."""
    for name, rows in found.items():
        for kind in (FORCE, ENERGY, "dipole_rmse"):
            errors = {
                scope: [
                    row["errors"][kind]
                    for row in rows["trainings"]
                    if row["scope"] == scope and kind in row["errors"]
                ]
                for scope in NAMES.values()
            }
            if all(errors.values()):
                plain, exact = errors["plain"], errors["exact"]
                spreads = (float(np.std(x, ddof=len(x) > 1)) for x in (plain, exact))
                yield name, kind, float(np.mean(plain)), float(np.mean(exact)), *spreads


def ratio_of_same_weights(rows: list[dict[str, Any]], kind: str) -> float | None:
    """Mean ratio of the errors of plain models with and without the average of the paper."""
    errors = [row["same weights"]["errors"] for row in rows if "same weights" in row]
    ratios = [x["averaged"][kind] / x["plain"][kind] for x in errors if kind in x["plain"]]
    return float(np.mean(ratios)) if ratios else None


def report(found: dict[str, Any]) -> None:
    """Print the table of errors on test frames."""
    print("| experiment | error | plain | exact | exact over plain | same weights averaged |")
    print("|---|---|---|---|---|---|")
    for name, kind, plain, exact, of_plain, of_exact in lines(found):
        spread = [f" ± {x:.2g}" if x else "" for x in (of_plain, of_exact)]
        averaged = ratio_of_same_weights(found[name]["trainings"], kind)
        print(
            f"| {name} | {kind} | {plain:.4g}{spread[0]} | {exact:.4g}{spread[1]} "
            f"| {exact / plain:.3f} | {'' if averaged is None else f'{averaged:.3f}'} |"
        )
    told = ", ".join(f"{name} {ratio:.2f}" for name, ratio in PAPER.items())
    print(f"ratios of force errors in the paper: {told}")


def draw(found: dict[str, Any], path: Path) -> None:
    """Learning curves of methane, and the ratios of all experiments."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10.0, 4.2), layout="constrained")
    for study in sorted({x["study"] for x in found.values() if "methane" in x["study"]}):
        for scope, style in (("plain", "--"), ("exact", "-")):
            points = sorted(
                (row["frames"], row["errors"][ENERGY])
                for x in found.values()
                if x["study"] == study
                for row in x["trainings"]
                if row["scope"] == scope
            )
            left.plot(*zip(*points, strict=True), style, marker="o", label=f"{study}, {scope}")
    left.set(xlabel="training frames", ylabel="energy RMSE, meV/atom", xscale="log", yscale="log")
    if left.lines:
        left.legend(fontsize=7)
    ratios = [
        (name, exact / plain) for name, kind, plain, exact, *_ in lines(found) if kind == FORCE
    ]
    for k, (_, ratio) in enumerate(ratios):
        right.plot(ratio, k, "o", color="tab:blue")
    right.set_yticks(range(len(ratios)), [name for name, _ in ratios], fontsize=7)
    right.axvline(1.0, color="gray", linewidth=0.8)
    right.set(xlabel="force error, exact over plain")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    print(f"picture: {path}")


if __name__ == "__main__":
    main()
