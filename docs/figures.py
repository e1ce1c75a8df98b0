"""Figures that documents quote, read from the files in benchmarks/results and from model files.

Pages of the site hold Jinja expressions: ``{{ result("versions", "cases", "192 atoms, 1 thread",
"new_ms") | fixed(0) }} ms``. README.md, which is shown as it is, holds the same expressions in
comments, and their values behind them, written by ``python docs/fill_figures.py README.md``::

    <!-- figure: result("silicon", "model") -->silicon<!-- end -->
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import Any

import jinja2

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
MARKED = re.compile(r"<!-- figure: (?P<expression>.*?) -->(?P<value>.*?)<!-- end -->", re.DOTALL)


@functools.cache
def read(name: str) -> Any:  # noqa: ANN401 (whatever the file holds)
    """Content of benchmarks/results/NAME.json."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def exists(name: str) -> bool:
    """Whether there is a file benchmarks/results/NAME.json."""
    return (RESULTS / f"{name}.json").is_file()


def result(name: str, *keys: str | int) -> Any:  # noqa: ANN401 (whatever stands there)
    """Value in benchmarks/results/NAME.json under these keys, one inside the other."""
    return _below(read(name), name, keys)


def row(name: str, *keys: str) -> dict[str, Any]:
    """Row of a list of rows whose ``name`` is the last key."""
    rows = result(name, *keys[:-1])
    return next(found for found in rows if found["name"] == keys[-1])


@functools.cache
def _model(name: str) -> dict[str, Any]:
    from pet_driver.files.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(name)
    return {"card": checkpoint.card, "hyperparameters": checkpoint.hyper.to_dict()}


def card(name: str, *keys: str) -> Any:  # noqa: ANN401 (whatever stands there)
    """Value of the card of a shipped model under these keys."""
    return _below(_model(name)["card"], name, keys)


def _below(found: Any, name: str, keys: tuple[str | int, ...]) -> Any:  # noqa: ANN401
    for key in keys:
        try:
            found = found[key]
        except (KeyError, IndexError, TypeError) as error:
            raise KeyError(f"{name} has no {key!r} of {keys}") from error
    return found


def fixed(value: float, digits: int = 0) -> str:
    """So many digits after the point."""
    return f"{value:.{digits}f}"


def significant(value: float, digits: int = 2) -> str:
    """So many digits that count, without an exponent for usual sizes."""
    text = f"{value:.{digits}g}"
    return f"{float(text):g}" if "e" in text and 1e-3 < abs(value) < 1e6 else text


@functools.cache
def environment() -> jinja2.Environment:
    """Where expressions are evaluated; an unknown name is an error."""
    made = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        comment_start_string="{##",
        comment_end_string="##}",
        keep_trailing_newline=True,
    )
    made.globals.update(result=result, row=row, card=card, exists=exists)
    made.globals.update(fixed=fixed, significant=significant)  # tables split cells at |
    made.filters.update(fixed=fixed, significant=significant)
    return made


def rendered(text: str) -> str:
    """Text with all expressions replaced by their values."""
    if "{{" not in text and "{%" not in text:
        return text
    return environment().from_string(text).render()


def filled(text: str) -> str:
    """Text of a document that is shown as it is, with the value behind each marked expression."""

    def value(match: re.Match[str]) -> str:
        expression = match["expression"]
        found = environment().from_string("{{ " + expression + " }}").render()
        return f"<!-- figure: {expression} -->{found}<!-- end -->"

    return MARKED.sub(value, text)
