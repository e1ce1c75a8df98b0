"""Compare errors with and without frames, and for numbers of layers, after the same training time.

python benchmarks/ablation.py benchmarks/ablation.yaml --data-folder FOLDER --minutes 30 [--only
NAME ...]

Trains variants of the options one after the other and prints a table: plain PET (with random
rotations), scope layer, scope layer with one message layer, scope layer with AdamW instead of Muon;
then 1, 2 and 3 message layers with `--depth` attention layers in total. The models are kept in the
output folder.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import yaml

from pet_driver.files.checkpoint import load_checkpoint


def main() -> None:
    """Train the chosen variants and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("options", type=Path)
    parser.add_argument("--data-folder", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30.0, help="for each (default: 30)")
    parser.add_argument("--depth", type=int, default=6, help="attention layers (default: 6)")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", nargs="+", metavar="NAME")
    parser.add_argument("--output", type=Path, default=Path("ablation"))
    chosen = parser.parse_args()
    content = yaml.safe_load(chosen.options.read_text())
    models = {}
    for name, changes in variants(chosen.depth).items():
        if chosen.only is None or name in chosen.only:
            models[name] = train(name, changes, content, chosen)
    report(models)


def variants(depth: int) -> dict[str, dict[str, dict]]:
    """Options of each variant that differ from the given ones, by section."""
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
        layers = {"message_layers": count, "attention_layers": depth // count}
        found[f"{count}x{depth // count}"] = {"model": {"scope": "layer", **layers}}
    return found


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
    (folder / "log.csv").unlink(missing_ok=True)
    subprocess.run([*command, "--processes", str(chosen.processes)], check=True)
    return folder / f"{name}.safetensors"


def report(models: dict[str, Path]) -> None:
    """Print a table of test errors."""
    columns = ("variant", "message x attention layers", "scope", "epochs")
    print("|", " | ".join((*columns, "energy, meV/atom", "force, meV/Å")), "|")
    print("|---|---|---|---|---|---|")
    for name, path in models.items():
        checkpoint = load_checkpoint(path)
        hyper, card = checkpoint.hyper, checkpoint.card
        errors = card["errors"].get("test") or card["errors"]["validation"]
        print(
            f"| {name} | {hyper.message_layers} x {hyper.attention_layers} | {hyper.scope} "
            f"| {card['epochs']} | {errors['energy_rmse_meV_per_atom']:.1f} "
            f"| {errors['force_rmse_meV_per_angstrom']:.0f} |"
        )


if __name__ == "__main__":
    main()
