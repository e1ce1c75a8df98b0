"""Files of the folder docs/generated, and pieces of Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ROOT / "docs" / "generated"


class Writer:
    """Writes files where their content has changed, and remembers all of them."""

    def __init__(self) -> None:
        self.written: set[Path] = set()

    def text(self, name: str, lines: str | Iterable[str]) -> None:
        """Write a file of text.

        :param name: relative to docs/generated
        """
        text = lines if isinstance(lines, str) else "\n".join(lines)
        self.data(name, (text.rstrip("\n") + "\n").encode())

    def data(self, name: str, content: bytes) -> None:
        """Write a file of bytes, likewise."""
        path = self.path(name)
        if not path.is_file() or path.read_bytes() != content:
            path.write_bytes(content)

    def path(self, name: str) -> Path:
        """Path of a file that the caller writes."""
        path = GENERATED / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self.written.add(path)
        return path


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table, with an empty line before and after."""
    lines = ["", f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    return [*lines, *(f"| {' | '.join(map(cell, row))} |" for row in rows), ""]


def cell(text: object) -> str:
    """Text as it stands in a table."""
    return " ".join(str(text).split()).replace("|", "\\|")


def code(text: object) -> str:
    """Text in the type of code, which holds no backtick."""
    return f"`{text}`"


def prose(docstring: str) -> str:
    """Paragraphs of a docstring (reST) as Markdown."""
    text = re.sub(r":(?:class|func|meth|mod):`~?([^`]+)`", r"`\1`", docstring)
    return re.sub(r"``([^`]+)``", r"`\1`", text).replace("::\n", ":\n")


def plain(text: str) -> str:
    """Text in which Markdown finds nothing to interpret."""
    return re.sub(r"([\\`*_{}\[\]<>#|$~^])", r"\\\1", text)


def with_code(text: str) -> str:
    """The same, but what stands between backticks is code."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(part if part.startswith("`") else plain(part) for part in parts)
