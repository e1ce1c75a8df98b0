"""Builds and loads `device_guard.cpp`, without which autograd refuses a device that is not there.

Must be imported before torch, which asks for the guards of devices once.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_SOURCE = Path(__file__).with_suffix(".cpp")


def _load() -> str | None:
    """Load the guard; the reason why that cannot be, or None."""
    if "torch" in sys.modules:
        return "torch was imported before; start Python with `-p pretended_gpu`"
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        return "no C++ compiler; install g++ or name one in CXX"
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return "torch is not installed"
    torch = Path(found.origin).parent
    # By their paths: the guard is shared by environments, and finds here those of this one.
    for library in ("libc10.so", "libtorch_cpu.so"):
        ctypes.CDLL(str(torch / "lib" / library))
    ctypes.CDLL(str(_built(compiler, torch)))
    return None


def _built(compiler: str, torch: Path) -> Path:
    """Path of the library, built once for each version of torch and of the source."""
    version = next(torch.parent.glob("torch-*.dist-info"), torch).name
    digest = hashlib.sha256(_SOURCE.read_bytes() + version.encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"device_guard_{os.getuid()}_{digest}.so"
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}")
        command = [compiler, "-shared", "-fPIC", "-std=c++20", "-O0", f"-I{torch}/include"]
        command += [str(_SOURCE), f"-L{torch}/lib", "-lc10", "-ltorch_cpu"]
        command += ["-o", str(part)]
        subprocess.run(command, check=True)
        part.rename(path)
    return path


REASON = _load()
