"""What a pretended GPU was asked to do."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field

PACKAGE = "/pet_driver/"


@dataclass
class Account:
    """Numbers of operations, by name or by the line of the package that asked for them.

    kernels: launches by name; lines: launches by line; line_bytes: bytes that they read and write;
    waits: of the host for the device, by line; uploads, downloads: by line; bytes_up, bytes_down:
    their sizes; sorts: accumulations by index that CUDA does by sorting, by line; threads: names of
    the threads that launched.
    """

    kernels: Counter[str] = field(default_factory=Counter)
    lines: Counter[str] = field(default_factory=Counter)
    line_bytes: Counter[str] = field(default_factory=Counter)
    waits: Counter[str] = field(default_factory=Counter)
    uploads: Counter[str] = field(default_factory=Counter)
    downloads: Counter[str] = field(default_factory=Counter)
    sorts: Counter[str] = field(default_factory=Counter)
    bytes_up: int = 0
    bytes_down: int = 0
    threads: set[str] = field(default_factory=set)

    def totals(self) -> dict[str, int]:
        """Numbers of all kinds."""
        return {
            "kernels": self.kernels.total(),
            "waits": self.waits.total(),
            "uploads": self.uploads.total(),
            "downloads": self.downloads.total(),
            "sorts": self.sorts.total(),
            "bytes": self.line_bytes.total(),
            "bytes_up": self.bytes_up,
            "bytes_down": self.bytes_down,
        }


def asking_line() -> str:
    """The innermost line of the package on the stack; "backward" in autograd's own threads."""
    frame = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if PACKAGE in path:
            return f"{path.rsplit(PACKAGE, 1)[1]}:{frame.f_lineno}"
        frame = frame.f_back
    return "backward"
