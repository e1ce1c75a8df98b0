"""Running LAMMPS on ranks that do something besides."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from helpers import environment, program


@pytest.fixture
def run_with(tmp_path):
    """`run_with(name, text, ranks, *words)`: a program of this folder instead of pet-lmp."""
    pytest.importorskip("mpi4py", exc_type=ImportError)

    def run(name: str, text: str, ranks: int, *words: object) -> subprocess.CompletedProcess[str]:
        (tmp_path / "in.lmp").write_text(text)
        script = str(Path(__file__).parent / name)
        command = [program("mpiexec"), "-n", str(ranks), sys.executable, script]
        command += [*map(str, words), "-in", "in.lmp", "-log", "none"]
        return subprocess.run(
            command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=120
        )

    return run
