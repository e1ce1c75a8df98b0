"""Run a Python program with the pretended GPU: python pretended_program.py FILE ARGUMENTS ...

Each rank and each driver that a step starts is a process of its own, and needs its own pretence.
"""

from __future__ import annotations

import runpy
import sys
import threading
from pathlib import Path

import pretended_gpu  # before torch
from torch.utils._python_dispatch import _push_mode


def main() -> None:
    """Run the file as if it had been started itself."""
    if pretended_gpu.REASON is not None:
        sys.exit(pretended_gpu.REASON)
    del sys.argv[0]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    with pretended_gpu.PretendedGpu() as gpu:
        pretend_in_threads(gpu)
        runpy.run_path(sys.argv[0], run_name="__main__")


def pretend_in_threads(gpu: pretended_gpu.PretendedGpu) -> None:
    """Let threads that are started from now on see the GPU: torch's modes are of one thread."""
    original = threading.Thread.run

    def run(thread: threading.Thread) -> None:
        _push_mode(gpu)
        original(thread)

    threading.Thread.run = run  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
