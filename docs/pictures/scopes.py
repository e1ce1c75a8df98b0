"""What each scope averages over frames."""

from __future__ import annotations

from pathlib import Path

from style import BLUE, GREEN, GREY, ORANGE, arrow, box, canvas, save


def draw(path: Path) -> None:
    """Draw a column for each scope; a model of two message layers."""
    figure, axis = canvas(7.2, 3.6)
    axis.text(1.15, 3.4, "layer", ha="center", fontsize=11, weight="bold")
    for k, y in enumerate((2.45, 1.05)):
        box(axis, (0.1, y), (2.1, 0.6), f"layer {k + 1}\nin the frames of the centre", BLUE)
        arrow(axis, (1.15, y), (1.15, y - 0.3))
        box(axis, (0.1, y - 0.65), (2.1, 0.35), "average over its frames", ORANGE)
    arrow(axis, (1.15, 1.8), (1.15, 1.67))
    axis.text(1.3, 1.73, "messages: invariants", fontsize=7, color=GREY, va="center")
    axis.text(1.15, 0.14, "energy", ha="center")

    columns = ((2.55, "atom", "its receptive field", "each atom's frames"),)
    columns += ((5.0, "structure", "the whole structure", "frames of all atoms"),)
    for left, name, what, frames in columns:
        axis.text(left + 1.05, 3.4, name, ha="center", fontsize=11, weight="bold")
        for shift in (0.12, 0.06, 0.0):
            box(axis, (left + shift, 1.05 + shift), (2.0, 2.0), "", GREEN)
        axis.text(left + 1.0, 2.05, f"layers 1 and 2\nof {what},\nin one frame", ha="center")
        arrow(axis, (left + 1.0, 1.05), (left + 1.0, 0.77))
        box(axis, (left, 0.4), (2.1, 0.35), f"average over {frames}", ORANGE)
        axis.text(left + 1.05, 0.14, "energy", ha="center")
    save(figure, path)
