"""Kernels of a function, recorded once and launched together afterwards (a CUDA graph)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def can_record(device: torch.device) -> bool:
    """Whether kernels on a device can be recorded: on a GPU, with a build of torch for it."""
    return device.type == "cuda" and (torch.version.cuda or torch.version.hip) is not None


class RecordedKernels:
    """A function whose kernels are recorded; a call launches them again.

    The function must have been called before, so that libraries are loaded. While it is recorded
    the host must not wait for the device. Its results lie in the same memory every time, and so
    must all that it reads.

    :param function: without arguments
    :raises RuntimeError: if it cannot be recorded
    """

    def __init__(self, function: Callable[[], Tensor], device: torch.device) -> None:
        self._graph = torch.cuda.CUDAGraph()
        recording = torch.cuda.graph(self._graph, capture_error_mode="thread_local")
        with torch.cuda.device(device), recording:  # other threads may use the device meanwhile
            self._result = function()

    def __call__(self) -> Tensor:
        """Launch the kernels; what they write is overwritten by the next call."""
        self._graph.replay()
        return self._result
