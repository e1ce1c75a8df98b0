"""Cards of the shipped models, from their files."""

from __future__ import annotations

from typing import Any

from pet_driver.cli.info import _network, _origin, _texts
from pet_driver.files.checkpoint import load_checkpoint, shipped_models

from .writing import ROOT, Writer, code, plain, table

_MODELS = ROOT / "pet_driver" / "models"
# Errors of the cards: key, heading, digits.
_ERRORS = (
    ("energy_rmse_meV_per_atom", "energy RMSE, meV/atom", 1),
    ("energy_mae_meV_per_atom", "energy MAE, meV/atom", 1),
    ("force_rmse_meV_per_angstrom", "force RMSE, meV/Å", 0),
    ("force_mae_meV_per_angstrom", "force MAE, meV/Å", 0),
    ("stress_rmse_GPa", "stress RMSE, GPa", 2),
    ("virial_rmse_meV_per_atom", "virial RMSE, meV/atom", 0),
    ("dipole_rmse", "dipole RMSE, e Å per component", 3),
    ("dipole_spread", "spread of the dipole, e Å", 2),
    ("symmetrization_rms_meV_per_angstrom", "symmetrization force, meV/Å", 0),
)
_PARTS = ("training", "validation", "test")


def make(writer: Writer) -> None:
    """Write a page for each shipped model."""
    for name in shipped_models():
        writer.text(f"models/{name}.md", _card(name))


def _card(name: str) -> list[str]:
    checkpoint = load_checkpoint(name)
    card = checkpoint.card
    lines = [f"# {name}", "", f"{plain(card['description'])}.", ""]
    lines += ["## What it was made from", ""]
    texts = {**_texts(card), **_origin(card)}
    rows = [(key.replace("_", " "), plain(str(text))) for key, text in texts.items()]
    lines += table(("", ""), [row for row in rows if row[0] != "description"])
    lines += ["## Errors", "", *_errors(card)]
    lines += ["## Network", ""]
    lines += table(("", ""), [(k, plain(v)) for k, v in _network(checkpoint).items()])
    lines += ["## Use", "", "```python", "from pet_driver import load_model", ""]
    lines += [f'potential = load_model("{name}")', "```", ""]
    files = [f"{name}{stage}.yaml" for stage in ("", "_second_stage", "_third_stage")]
    made = ", ".join(code(file) for file in files if (_MODELS / file).is_file())
    lines += [f"The options files that made it, in `pet_driver/models`: {made}. Everything in the"]
    lines += ["header of the file, with the indices of the split, is printed by", ""]
    return [*lines, "```bash", f"pet-driver info {name} --json", "```"]


def _errors(card: dict[str, Any]) -> list[str]:
    """Table of the errors: a row for each kind, a column for each part of the data."""
    errors = card.get("errors", {})
    parts = [part for part in _PARTS if part in errors]
    rows = []
    for key, heading, digits in _ERRORS:
        if any(key in errors[part] for part in parts):
            values = [errors[part].get(key) for part in parts]
            rows.append((heading, *("" if x is None else f"{x:.{digits}f}" for x in values)))
    return table(("", *parts), rows)
