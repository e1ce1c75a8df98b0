"""`pet-driver info`: shows the content of a model file, or lists the shipped models."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from ase.data import chemical_symbols

if TYPE_CHECKING:
    from ..files.checkpoint import Checkpoint
    from ..model import Hyperparameters


_MOST_PAIRS = 12  # that are shown in a line


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser of this verb."""
    parser = verbs.add_parser("info", help="show a model's card, or the list of shipped models")
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", help="name or path; without it: the shipped models"
    )
    parser.add_argument(
        "--json", action="store_true", help="everything, the split's indices included, as JSON"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the card of a model, everything in its header as JSON, or the names of shipped models.

    :raises PetDriverError: if there is no such model, or it cannot be read
    """
    from ..files.checkpoint import load_checkpoint, shipped_models

    if options.model is None:
        print("\n".join(shipped_models()) or "no models are shipped")
        return
    checkpoint = load_checkpoint(options.model)
    if options.json:
        everything = {
            "hyperparameters": checkpoint.hyper.to_dict(),
            "card": checkpoint.card,
            "sha256": checkpoint.digest,
        }
        print(json.dumps(everything, indent=2))
        return
    lines = {**_network(checkpoint), **_texts(checkpoint.card), **_origin(checkpoint.card)}
    width = max(map(len, lines))
    for key, value in lines.items():
        print(f"{key:{width}}  {value}")
    for part, errors in checkpoint.card.get("errors", {}).items():
        numbers = ", ".join(f"{key.replace('_', ' ')} {value:.2f}" for key, value in errors.items())
        print(f"{'error, ' + part:{width}}  {numbers}")


def _network(checkpoint: Checkpoint) -> dict[str, str]:
    """Lines about the network."""
    hyper = checkpoint.hyper
    outputs = ["energy", *(name for name, _ in hyper.properties)]
    if checkpoint.uncertainty is not None:
        outputs.append("energy_uncertainty")
    return {
        "model": checkpoint.name,
        "sha256": checkpoint.digest,
        "elements": " ".join(chemical_symbols[z] for z in hyper.species),
        "cutoff": _cutoff(hyper),
        "scope": hyper.scope,
        "frames": _frames(hyper),
        "network": f"{hyper.block} block, {hyper.message_layers} message layers "
        f"of depth {hyper.attention_layers}, {hyper.heads} heads, "
        f"width {hyper.width} (nodes {hyper.node_width})",
        "outputs": ", ".join(outputs),
        "parameters": f"{sum(w.numel() for w in checkpoint.weights.values()):,}",
    }


def _frames(hyper: Hyperparameters) -> str:
    """Name of the frame constants, or the most important of them."""
    from ..frames import NAMED_CONSTANTS

    frames = hyper.frames
    for name, constants in NAMED_CONSTANTS.items():
        if frames == constants:
            return name
    end = frames.pruning_fraction + frames.pruning_width
    text = f"margin {frames.margin:g} A, pruning from {frames.pruning_fraction:g} to {end:g}"
    if frames.contrast is None:
        return text
    return f"{text}, contrast {frames.contrast[0]:g} and {frames.contrast[1]:g} A"


def _texts(card: dict[str, Any]) -> dict[str, Any]:
    """Entries of a card that are a text, a number or a list of texts."""
    return {
        key: ", ".join(map(str, value)) if isinstance(value, list) else value
        for key, value in card.items()
        if not isinstance(value, dict)
    }


def _origin(card: dict[str, Any]) -> dict[str, str]:
    """Lines about the file that was converted, or the training data."""
    lines = {}
    origin = card.get("converted_from", {})
    if isinstance(origin, dict) and origin:
        lines["converted"] = f"from {origin['file']} ({origin['format']})"
    pairs = card.get("closest_pairs_angstrom", {})
    if pairs:
        shortest = ", ".join(f"{pair} {length:.2f} A" for pair, length in pairs.items())
        many = f"of {len(pairs)} pairs of elements (--json lists them)"
        lines["closest pairs"] = (
            f"in the training data: {shortest if len(pairs) <= _MOST_PAIRS else many}"
        )
    data = card.get("data", {})
    if data:
        counts = {part: _count(indices) for part, indices in data["indices"].items()}
        sizes = ", ".join(f"{count} {part}" for part, count in counts.items())
        lines["data"] = f"{data['file']}: {sizes} structures (--json lists them)"
    return lines


def _count(indices: list[int] | dict[str, list[int]]) -> int:
    """Number of frames in one file, or in several."""
    if isinstance(indices, dict):
        return sum(len(of_file) for of_file in indices.values())
    return len(indices)


def _cutoff(hyper: Hyperparameters) -> str:
    """Cutoff, its function, and the number of neighbors that it is adapted to."""
    text = f"{hyper.cutoff:g} A ({hyper.cutoff_function} over {hyper.cutoff_width:g})"
    neighbors = hyper.foreign.adaptive_neighbors
    if neighbors is not None:
        text = f"at most {text}, adapted to {neighbors:g} neighbors"
    return text
