"""Thin adapters to the programs that move atoms."""

from __future__ import annotations

from pathlib import Path


def ipi_pes_path() -> Path:
    """The file that i-PI loads as a custom PES; by path, as i-PI has no names for foreign ones."""
    return Path(__file__).parent / "ipi_pes.py"
