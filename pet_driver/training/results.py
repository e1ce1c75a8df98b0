"""Results of a training: the model file with its card, learning curves, parity plots."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

from ..evaluation.symmetrization import too_large
from ..files.checkpoint import Checkpoint, save_checkpoint
from ..graph import closest_pairs
from ..model import Hyperparameters
from . import pictures
from .accuracy import SYMMETRIZATION, Comparison, summary
from .baseline import describe_baseline
from .data import Split
from .log import read_log
from .options import TrainingOptions
from .state import TrainingState


def trained_model(
    options: TrainingOptions,
    hyper: Hyperparameters,
    state: TrainingState,
    split: Split,
    hardware: str,
) -> Checkpoint:
    """The averaged weights as a model, with a card that lacks only the errors.

    :param hardware: device and number of processes, for the card
    """
    counters, scales = state.counters, state.scales
    card = {
        **options.card,
        **_origin(options, split),
        "steps": counters.step,
        "epochs": round(counters.seen / len(split.training), 1),
        "hours": round(counters.elapsed / 3600.0, 3),
        "device": hardware,
        **({"sampled_share": options.fit.sampled_share} if hyper.scope == "layer" else {}),
        "closest_pairs_angstrom": _closest_pairs(split),
        "baseline_eV": describe_baseline(scales.baseline, hyper.species),
    }
    weights = state.averaged_network.state_dict()
    # Labels may have another unit than the model that the training started from.
    kept = {name: unit for name, unit in scales.units.items() if name in scales.unlabelled}
    return Checkpoint(
        hyper,
        {key: value.detach() for key, value in weights.items()},
        scales.baseline,
        scales.energy,
        card,
        options.name,
        property_scales={**scales.properties, **scales.unlabelled},
        property_units={**kept, **options.data.property_units},
    )


def write_results(folder: Path, model: Checkpoint, found: dict[str, list[Comparison]]) -> None:
    """Write ``NAME.safetensors``, ``curves.png`` from ``log.csv``, and ``parity.png``.

    :param model: its card receives the errors
    :param found: predictions beside labels, by part of the data
    """
    errors = {part: summary(some, True) for part, some in found.items()}
    _warn_about_symmetrization(errors)
    described = dataclasses.replace(model, card={**model.card, "errors": errors})
    save_checkpoint(described, folder / f"{model.name}.safetensors")
    if not pictures.can_draw():
        warnings.warn(
            "matplotlib is not installed, so no plots were drawn; pip install matplotlib",
            stacklevel=2,
        )
        return
    rows = read_log(folder / "log.csv")
    if rows:
        pictures.draw_curves(rows, folder / "curves.png")
    pictures.draw_parity(found, folder / "parity.png")


def _warn_about_symmetrization(errors: dict[str, dict[str, float]]) -> None:
    """Warn where the symmetrization force of held-out frames is large beside the force error."""
    held_out = errors.get("test") or errors.get("validation") or {}
    error = held_out.get("force_rmse_meV_per_angstrom")
    found = held_out.get(SYMMETRIZATION)
    if error is None or found is None:
        return
    sentence = too_large(1e-3 * found, None, 1e-3 * error)
    if sentence is not None:
        warnings.warn(sentence, stacklevel=3)


def _closest_pairs(split: Split) -> dict[str, float]:
    """Line of the card: shortest distances of the training frames, angstrom."""
    found = closest_pairs(frame.system for frame in split.training)
    return {pair: round(length, 4) for pair, length in found.items()}


def _origin(options: TrainingOptions, split: Split) -> dict[str, Any]:
    """Lines of the card: data files, frames of each part, model that the training started from."""
    files = options.data.file
    names = [files] if isinstance(files, str) else list(files)
    found: dict[str, Any] = {
        "data": {
            "file": ", ".join(Path(name).name for name in names),
            "indices": split.indices(),
        }
    }
    if options.fit.start_from is not None:
        found["started_from"] = Path(options.fit.start_from).name
    return found
