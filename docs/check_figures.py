"""Check that documents quote no measured figure by hand: python docs/check_figures.py.

A measured figure is a number with a unit of time, error, stress, memory or speed. It may stand in a
template expression or behind a marked one (see figures.py), and in code. A line that is no
measurement (an input, a tolerance) ends with ``<!-- not measured -->``, one with what an example
prints and a test of it compares with ``<!-- checked by a test -->``. Values
behind marked expressions must be those of the files. Exit code 1 if anything is found.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from figures import MARKED, ROOT, filled, rendered

NOT_MEASURED = "<!-- not measured -->"
EXEMPT = (NOT_MEASURED, "<!-- checked by a test -->")
_NUMBER = r"(?<![\w.-])\d[\d.,]*(?:e[+-]?\d+)?"
_UNITS = (
    r"ms|us|µs|μs|meV|GPa|[kMG]i?B|%|percent|eV/(?:Å|A|angstrom)|"
    r"(?<=\.\d )s|(?<=\.\d\d )s|"
    r"times (?:as|the|less|more|faster|slower|longer|cheaper|larger|smaller)|(?:hours|minutes) on"
)
FIGURE = re.compile(rf"{_NUMBER}\s*(?:± ?[\d.]+ )?(?:{_UNITS})(?![A-Za-z])")
_FENCE = re.compile(r"^(?P<fence>`{3,}|~{3,}).*?^(?P=fence)\s*$", re.DOTALL | re.MULTILINE)
_EXPRESSION = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_CODE = re.compile(r"`[^`\n]+`")


def documents() -> Iterator[Path]:
    """README.md, those of developers, the pages of the site and the README.md of each example."""
    yield from (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "pet_driver" / "README.md")
    generated = ROOT / "docs" / "generated"
    for path in sorted((ROOT / "docs").rglob("*.md")):
        if generated not in path.parents and "_build" not in path.parts:
            yield path
    for folder in ("lammps_examples", "ipi_inputs"):
        yield from sorted((ROOT / folder).glob("*/README.md"))


def _blank(match: re.Match[str]) -> str:
    """As many lines as before, and nothing on them."""
    return "\n" * match[0].count("\n")


def by_hand(text: str) -> list[tuple[int, str]]:
    """Numbers of lines and figures on them that no file gives."""
    for pattern in (_FENCE, MARKED, _EXPRESSION, _CODE):
        text = pattern.sub(_blank, text)
    return [
        (number, match[0])
        for number, line in enumerate(text.splitlines(), 1)
        if not any(mark in line for mark in EXEMPT)
        for match in FIGURE.finditer(line)
    ]


def problems(path: Path) -> list[str]:
    """One sentence for each thing that is wrong with a document."""
    text, name = path.read_text(), path.relative_to(ROOT)
    found = [
        f"{name}:{number}: {figure!r} is written by hand; read it from a file of "
        f"benchmarks/results, or mark the line with {NOT_MEASURED}"
        for number, figure in by_hand(text)
    ]
    try:
        rendered(MARKED.sub("", text))
        if filled(text) != text:
            found.append(f"{name}: figures differ from the files; run docs/fill_figures.py {name}")
    except (KeyError, OSError, StopIteration) as error:
        found.append(f"{name}: {error}; no file gives this figure")
    return found


def main() -> int:
    """Print all problems; 1 if there are any."""
    found = [sentence for path in documents() for sentence in problems(path)]
    print("\n".join(found) or "every figure in the documents comes from a file")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
