"""How much is evaluated at a time, so that intermediate results fit into memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TypeVar

import torch

from ..runtime.devices import free_memory

_SMALLEST_CHUNK = 16
T = TypeVar("T")


class Chunking:
    """
    share: of the free memory that may be used for intermediate results; chunk: most (centre, frame)
    rows evaluated at a time, None: chosen by the memory present.
    """

    def __init__(self, device: torch.device, share: float, chunk: int | None) -> None:
        self.device, self.share, self.chunk = device, share, chunk

    def allowed(self) -> int:
        """Bytes that intermediate results may take now."""
        return int(self.share * free_memory(self.device))

    def retried(self, attempt: Callable[[], T], rows: Callable[[], int]) -> T:
        """What an attempt returns; after running out of memory with half of the chunk.

        :param rows: a bound on what was evaluated at a time
        """
        while True:
            try:
                return attempt()
            except torch.OutOfMemoryError:
                if not self._halve(rows()):
                    raise

    def _halve(self, rows: int) -> bool:
        """False if nothing is left to halve."""
        rows = min(self.chunk or rows, rows)
        if rows <= _SMALLEST_CHUNK:
            return False
        self.chunk = rows // 2
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        warnings.warn(
            f"out of memory on {self.device}: going on with chunks of {self.chunk}", stacklevel=4
        )
        return True
