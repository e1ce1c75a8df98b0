"""Values of files of results as they stand in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .writing import plain

_LONGEST = 8  # of a list that is shown in a cell


def shown(value: object) -> str:
    """A value of a file as it stands in a table."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{plain(str(key))} {shown(x)}" for key, x in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) > _LONGEST:
            return f"{len(value)} entries"
        return ", ".join(map(shown, value))
    return plain(str(value))


def number(value: float) -> str:
    """Three digits that count."""
    if value and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.1e}"
    if abs(value) >= 100.0:
        return f"{value:,.0f}"
    return f"{value:.3g}"
