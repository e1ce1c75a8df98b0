"""Running the engines as a user does: their own programs, in processes of their own."""

from __future__ import annotations

import subprocess

import pytest

from helpers import environment, program


@pytest.fixture
def run_lammps(tmp_path):
    """Run an input script with pet-lmp on some ranks: `run_lammps(text, ranks, *options)`."""
    pytest.importorskip("mpi4py", exc_type=ImportError)

    def run(text: str, ranks: int, *options: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "in.lmp").write_text(text)
        command = [program("mpiexec"), "-n", str(ranks), program("pet-lmp"), "-in", "in.lmp"]
        command += ["-log", "none", *options]
        return subprocess.run(
            command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=900
        )

    return run
