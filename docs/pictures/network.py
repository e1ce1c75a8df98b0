"""Scheme of a message-passing layer of PET."""

from __future__ import annotations

from pathlib import Path

from style import BLUE, GREEN, GREY, ORANGE, arrow, box, canvas, save


def draw(path: Path) -> None:
    """Draw two atoms, each with its tokens, and what they exchange."""
    figure, axis = canvas(7.2, 3.3)
    for left, name, other in ((0.1, "i", "j"), (4.1, "j", "i")):
        axis.text(left + 1.5, 3.12, f"centre ${name}$", ha="center", fontsize=10)
        box(axis, (left, 2.2), (0.9, 0.7), f"geometry\n$r_{{{name}{other}}}$", GREY)
        box(axis, (left + 1.05, 2.2), (0.9, 0.7), f"species\n$s_{other}$", GREY)
        box(axis, (left + 2.1, 2.2), (0.9, 0.7), f"message\n$m_{{{name}{other}}}$", ORANGE)
        box(
            axis,
            (left, 1.15),
            (3.0, 0.65),
            f"transformer: tokens $t_{{{name}0}}$ (centre), $t_{{{name}{other}}}$, ...",
            BLUE,
        )
        for x in (0.45, 1.5, 2.55):
            arrow(axis, (left + x, 2.2), (left + x, 1.82))
        box(axis, (left, 0.15), (1.3, 0.6), f"$c_{name}$: energy", GREEN)
        box(axis, (left + 1.7, 0.15), (1.3, 0.6), f"$o_{{{name}{other}}}$", ORANGE)
        arrow(axis, (left + 0.65, 1.15), (left + 0.65, 0.77))
        arrow(axis, (left + 2.35, 1.15), (left + 2.35, 0.77))
    # What each sends becomes part of the other's message for the next layer.
    arrow(axis, (3.1, 0.5), (6.45, 2.2), ORANGE, bend=0.12)
    arrow(axis, (5.8, 0.3), (3.1, 2.45), ORANGE, bend=-0.12)
    axis.text(3.6, 0.14, "to the other\nend of the edge", ha="center", fontsize=8, color=ORANGE)
    save(figure, path)
