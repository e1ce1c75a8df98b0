"""Scheme of a message-passing layer of PET."""

from __future__ import annotations

from pathlib import Path

from style import BLUE, GREEN, GREY, ORANGE, arrow, box, canvas, save


def draw(path: Path) -> None:
    """Draw two atoms, each with its tokens, and what they exchange."""
    figure, axis = canvas(7.6, 3.3)
    for left, name, other in ((0.1, "i", "j"), (4.5, "j", "i")):
        axis.text(left + 1.5, 3.1, f"centre ${name}$", ha="center", fontsize=10)
        inputs = [(f"geometry\n$r_{{{name}{other}}}$", GREY), (f"species\n$s_{other}$", GREY)]
        inputs += [(f"message\n$m_{{{name}{other}}}$", ORANGE)]
        outputs = [(f"$c_{name}$: energy", GREEN), (f"$o_{{{name}{other}}}$", ORANGE)]
        if name == "j":  # what is exchanged stands towards the other atom
            inputs, outputs = inputs[::-1], outputs[::-1]
        for k, (text, color) in enumerate(inputs):
            box(axis, (left + 1.05 * k, 2.2), (0.9, 0.7), text, color)
            arrow(axis, (left + 1.05 * k + 0.45, 2.2), (left + 1.05 * k + 0.45, 1.82))
        tokens = f"transformer: tokens $t_{{{name}0}}$ (centre), $t_{{{name}{other}}}$, ..."
        box(axis, (left, 1.15), (3.0, 0.65), tokens, BLUE)
        for k, (text, color) in enumerate(outputs):
            box(axis, (left + 1.7 * k, 0.15), (1.3, 0.6), text, color)
            arrow(axis, (left + 1.7 * k + 0.65, 1.15), (left + 1.7 * k + 0.65, 0.77))
    # What each sends becomes part of the other's message for the next layer.
    arrow(axis, (3.1, 0.45), (4.5, 2.5), ORANGE)
    arrow(axis, (4.5, 0.45), (3.1, 2.5), ORANGE)
    axis.text(3.8, 0.14, "next layer", ha="center", fontsize=8, color=ORANGE)
    save(figure, path)
