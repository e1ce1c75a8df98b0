"""Markdown of the results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OWN = ("name", "status", "seconds", "sentence")
_LEAST_FILLED = 0.3  # share of the cells of a table


def overview(steps: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One line for each step."""
    lines = ["| step | status | s | rows | |", "|---|---|---|---|---|"]
    for name, entry in steps.items():
        rows = entry["rows"]
        passed = sum(row["status"] == "passed" for row in rows)
        count = f"{passed} of {len(rows)} passed"
        sentence = cell(entry.get("sentence", ""))
        lines.append(f"| {name} | {entry['status']} | {entry['seconds']} | {count} | {sentence} |")
    return lines


def step_table(entry: Mapping[str, Any]) -> list[str]:
    """All rows of a step; columns that no row has are left out."""
    lines = []
    if entry.get("sentence"):
        lines += [f"{entry['status']}: {entry['sentence']}", ""]
    columns: list[str] = []
    for row in entry["rows"]:
        columns += [key for key in row if key not in (*_OWN, *columns)]
    filled = sum(row.get(key) is not None for row in entry["rows"] for key in columns)
    if filled < _LEAST_FILLED * len(columns) * len(entry["rows"]):
        return lines + long_table(entry)
    has_sentence = any(row.get("sentence") for row in entry["rows"])
    header = ["row", "status", *columns, *(["remark"] if has_sentence else [])]
    lines += [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for row in entry["rows"]:
        cells = [cell(row["name"]), row["status"], *(cell(row.get(key)) for key in columns)]
        cells += [cell(row.get("sentence"))] if has_sentence else []
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def long_table(entry: Mapping[str, Any]) -> list[str]:
    """The same, for rows that have little in common: all of a row in one cell."""
    lines = ["| row | status | results |", "|---|---|---|"]
    for row in entry["rows"]:
        words = [f"{key}: {cell(value)}" for key, value in row.items() if key not in _OWN]
        words += [cell(row["sentence"])] if row.get("sentence") else []
        lines.append(f"| {cell(row['name'])} | {row['status']} | {'; '.join(words)} |")
    return lines


def cell(value: object) -> str:
    """A value as it stands in a table."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {cell(x)}" for key, x in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(cell(x) for x in value)
    return " ".join(str(value).split()).replace("|", "\\|")
