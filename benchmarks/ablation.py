"""Compare errors with and without frames, and for numbers of layers, after the same training time.

python benchmarks/ablation.py benchmarks/ablation.yaml --data-folder FOLDER --minutes 30
    [--study layers|indifference|ways|drawing|constants] [--only NAME ...] [--device DEVICE]

Trains variants of the options one after the other and prints a table. The study "layers": plain PET
(with random rotations), scope layer, scope layer with one message layer, scope layer with AdamW
instead of Muon; then 1, 2 and 3 message layers with `--depth` attention layers in total. The study
"indifference": ways to make the network agree over frames. The study "drawing": one or two frames
drawn at first, or all from the first step, one structure a step. The studies "ways" (all frames
from the first step, or drawn ones turned at random) and "constants" (of the frames) take larger
batches; use these three with the options of a shipped model, and `trainings.py` to collect the
logs. The models are kept in the output folder, the table in results/ablation_STUDY.json.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import yaml
from results_file import write_results

from pet_driver.files.checkpoint import load_checkpoint


def main() -> None:
    """Train the chosen variants and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("options", type=Path)
    parser.add_argument("--data-folder", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30.0, help="for each (default: 30)")
    parser.add_argument("--study", choices=tuple(STUDIES), default="layers")
    parser.add_argument("--depth", type=int, default=6, help="attention layers (default: 6)")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", nargs="+", metavar="NAME")
    parser.add_argument("--output", type=Path, default=Path("ablation"))
    chosen = parser.parse_args()
    content = yaml.safe_load(chosen.options.read_text())
    models = {}
    for name, changes in STUDIES[chosen.study](chosen.depth).items():
        if chosen.only is None or name in chosen.only:
            models[name] = train(name, changes, content, chosen)
    report(chosen.study, models)


def layers(depth: int) -> dict[str, dict[str, dict]]:
    """Plain and exact, numbers of layers, optimizers.

    :param depth: number of attention layers in total
    """
    found: dict[str, dict[str, dict]] = {
        "plain": {"model": {"scope": "none"}},
        "layer": {"model": {"scope": "layer"}},
        "layer_1": {"model": {"scope": "layer", "message_layers": 1}},
        "layer_adamw": {
            "model": {"scope": "layer"},
            "fit": {"optimizer": "adamw", "learning_rate": 1e-3},
        },
    }
    for count in (1, 2, 3):
        shape = {"message_layers": count, "attention_layers": depth // count}
        found[f"{count}x{depth // count}"] = {"model": {"scope": "layer", **shape}}
    return found


def indifference(_depth: int) -> dict[str, dict[str, dict]]:
    """Ways to make the network agree over frames, with the given constants and with few frames."""
    turns, penalty = {"random_turns": True}, {"symmetrization_weight": 1.0}
    variances = {"energy_variance_weight": 300.0, "message_variance_weight": 1.0}
    ways: dict[str, dict] = {
        "frames": {},
        "turns": turns,
        "penalty": penalty,
        "turns_penalty": {**turns, **penalty},
        "two_frames": {"frames_drawn": 2, **penalty, **variances},
        "turns_two_frames": {"frames_drawn": 2, **turns, **penalty, **variances},
    }
    drawn = {"frames_drawn": 1, "sampled_share": 0.85}
    off = {"random_turns": False, "symmetrization_weight": 0.0, **drawn}
    return {name: {"model": {}, "fit": {**off, **fit}} for name, fit in ways.items()}


def ways(_depth: int) -> dict[str, dict[str, dict]]:
    """All frames from the first step with a penalty, or drawn ones that are turned at random."""
    turns = {**TURNS, "batch_size": 8, "sampled_share": 0.6}
    every = {"batch_size": 8, "sampled_share": 0.0, "random_turns": False}
    return {
        "all_frames": {"model": {}, "fit": {**every, "symmetrization_weight": 1.0}},
        "turns": {"model": {}, "fit": turns},
    }


def drawing(_depth: int) -> dict[str, dict[str, dict]]:
    """One or two frames drawn in most of the training, or none: all frames from the first step."""
    base = {"batch_size": 1, "random_turns": False}
    drawn = {"one": (1, 0.8), "two": (2, 0.6), "all": (1, 0.0)}
    return {
        name: {"model": {}, "fit": {**base, "frames_drawn": count, "sampled_share": share}}
        for name, (count, share) in drawn.items()
    }


def constants(_depth: int) -> dict[str, dict[str, dict]]:
    """Constants of the frames, from few frames to many, with drawn frames turned at random."""
    gentle = {"margin": 0.5, "axis_margin": 0.5, "pruning_rounds": 1}
    found: dict[str, str | dict] = {
        "contrast_0.02": {
            **gentle, "contrast": [0.02, 0.02], "pruning_fraction": 0.3, "pruning_width": 0.3
        },
        "speed": "speed",
        "accuracy": "accuracy",
        "contrast_0.2": {
            **gentle, "contrast": [0.2, 0.2], "pruning_fraction": 0.2, "pruning_width": 0.4
        },
        "no_contrast": {**gentle, "pruning_fraction": 0.5, "pruning_width": 0.5},
    }  # fmt: skip
    fit = {**TURNS, "sampled_share": 0.85}
    return {name: {"model": {"frames": frames}, "fit": fit} for name, frames in found.items()}


TURNS = {"random_turns": True, "symmetrization_weight": 0.3, "frames_drawn": 1}
# Options of each variant that differ from the given ones, by section, for a number of layers.
STUDIES = {
    "layers": layers,
    "indifference": indifference,
    "ways": ways,
    "drawing": drawing,
    "constants": constants,
}


def train(name: str, changes: dict[str, dict], content: dict, chosen: argparse.Namespace) -> Path:
    """Train one variant for the given time, at the end of which the learning rate is zero.

    :return: path of the model file
    """
    folder = chosen.output / name
    folder.mkdir(parents=True, exist_ok=True)
    time = {"schedule": "time", "max_time": 60.0 * chosen.minutes, "steps": 10**7}
    options = {
        **content,
        "name": name,
        "model": {**content["model"], **changes["model"]},
        "fit": {**content["fit"], **changes.get("fit", {}), **time},
    }
    path = folder / "options.yaml"
    path.write_text(yaml.safe_dump(options))
    command = [sys.executable, "-m", "pet_driver.cli.main", "train", str(path), "--restart"]
    command += ["-o", str(folder), "--data-folder", str(chosen.data_folder)]
    command += ["--device", chosen.device]
    (folder / "log.csv").unlink(missing_ok=True)
    subprocess.run([*command, "--processes", str(chosen.processes)], check=True)
    return folder / f"{name}.safetensors"


def report(study: str, models: dict[str, Path]) -> None:
    """Print a table of errors on held-out frames, and write results/ablation_STUDY.json."""
    columns = ("variant", "message x attention layers", "scope", "epochs")
    columns += ("energy, meV/atom", "force, meV/Å", "symmetrization force, meV/Å")
    print("|", " | ".join(columns), "|")
    print("|---" * len(columns) + "|")
    found = {}
    for name, path in models.items():
        checkpoint = load_checkpoint(path)
        hyper, card = checkpoint.hyper, checkpoint.card
        errors = card["errors"].get("test") or card["errors"]["validation"]
        print(
            f"| {name} | {hyper.message_layers} x {hyper.attention_layers} | {hyper.scope} "
            f"| {card['epochs']} | {errors['energy_rmse_meV_per_atom']:.1f} "
            f"| {errors['force_rmse_meV_per_angstrom']:.0f} "
            f"| {errors.get('symmetrization_rms_meV_per_angstrom', 0.0):.0f} |"
        )
        found[name] = {**{key: card[key] for key in ("steps", "epochs", "hours")}, "errors": errors}
    print(f"wrote {write_results(f'ablation_{study}', {'variants': found})}")


if __name__ == "__main__":
    main()
