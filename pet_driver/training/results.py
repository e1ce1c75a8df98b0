"""What a training leaves behind: the model with its card, learning curves, parity plots."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path

from ..files.checkpoint import Checkpoint, save_checkpoint
from . import pictures
from .accuracy import Comparison, summary
from .log import read_log


def write_results(folder: Path, checkpoint: Checkpoint, found: dict[str, list[Comparison]]) -> None:
    """Writes ``NAME.safetensors``, ``curves.png`` from ``log.csv``, and ``parity.png``.

    :param checkpoint: the model; its card receives the errors
    :param found: predictions beside labels, by part of the data
    """
    errors = {part: summary(some, True) for part, some in found.items()}
    described = dataclasses.replace(checkpoint, card={**checkpoint.card, "errors": errors})
    save_checkpoint(described, folder / f"{checkpoint.name}.safetensors")
    if not pictures.can_draw():
        warnings.warn("no pictures: pip install matplotlib to have them", stacklevel=2)
        return
    rows = read_log(folder / "log.csv")
    if rows:
        pictures.draw_curves(rows, folder / "curves.png")
    pictures.draw_parity(found, folder / "parity.png")
