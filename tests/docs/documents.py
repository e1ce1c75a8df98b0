"""Documents and the blocks of code in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from helpers import ROOT

_FENCE = re.compile(
    r"^(?P<fence>`{3,})(?P<language>\w+)[^\n]*\n(?P<text>.*?)^(?P=fence)\s*$",
    re.DOTALL | re.MULTILINE,
)
DOCS = ROOT / "docs"
# docs/examples has tests of its own, beside its programs.
PAGES = sorted(
    path
    for path in [ROOT / "README.md", *DOCS.rglob("*.md")]
    if not {"generated", "_build", "examples"} & set(path.relative_to(ROOT).parts)
)
EXAMPLES = sorted(
    path
    for folder in ("lammps_examples", "ipi_inputs")
    for path in (ROOT / folder).glob("*/README.md")
)


@dataclass(frozen=True)
class Block:
    """A block of code, its language, and the number of its first line."""

    language: str
    text: str
    line: int


def blocks(page: Path, *languages: str) -> list[Block]:
    """Blocks of a page in these languages, in order."""
    text = page.read_text()
    return [
        Block(match["language"], match["text"], text[: match.start()].count("\n") + 2)
        for match in _FENCE.finditer(text)
        if match["language"] in languages
    ]


def name_of(page: Path) -> str:
    """Path of a page, as the name of a test."""
    return str(page.relative_to(ROOT))
