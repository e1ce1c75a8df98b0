"""i-PI: a client for its sockets, a driver for its MPI jobs, a PES file for use inside it."""

from __future__ import annotations

from pathlib import Path


def ipi_pes_path() -> Path:
    """Path of the file that i-PI loads as a custom PES."""
    return Path(__file__).parent / "pes.py"
