"""Drawings of the pages about theory, by the scripts in docs/pictures."""

from __future__ import annotations

import importlib
import sys

from .writing import ROOT, Writer

PICTURES = ROOT / "docs" / "pictures"
NAMES = ("network", "frames", "scopes", "smoothness", "halo")


def make(writer: Writer) -> None:
    """Draw all that are older than their scripts."""
    sys.path.insert(0, str(PICTURES))
    try:
        for name in NAMES:
            path = writer.path(f"pictures/{name}.svg")
            changed = max(x.stat().st_mtime for x in PICTURES.glob("*.py"))
            if not path.is_file() or path.stat().st_mtime < changed:
                importlib.import_module(name).draw(path)
    finally:
        sys.path.remove(str(PICTURES))
