"""What an MPI program learns from the launcher of its processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

START = """
from pet_driver.errors import PetDriverError
from pet_driver.parallel.launch import start_mpi
try:
    print("ranks", start_mpi().size)
except PetDriverError as error:
    print(error)
"""


def started(launcher: list[str], **variables: str) -> str:
    """What processes print that start MPI."""
    pytest.importorskip("mpi4py.MPI", exc_type=ImportError)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PMI_", "OMPI_", "SLURM_"))}
    command = [*launcher, sys.executable, "-c", START]
    result = subprocess.run(
        command, env={**kept, **variables}, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_processes_that_srun_left_alone():
    """Else each would run the whole simulation, and overwrite the files of the others."""
    sentence = started([], SLURM_STEP_NUM_TASKS="2")
    assert "srun started 2 processes that would each run alone" in sentence
    assert "--mpi=pmi2" in sentence
    assert started([], SLURM_STEP_NUM_TASKS="1") == "ranks 1\n"
    assert started([]) == "ranks 1\n"


def test_mpiexec_within_a_step_of_srun():
    """Hydra starts its proxies by srun: the number of tasks of that step is that of nodes."""
    mpiexec = shutil.which("mpiexec", path=os.path.dirname(sys.executable)) or "mpiexec"
    found = started([mpiexec, "-n", "1"], SLURM_STEP_NUM_TASKS="2")
    assert found == "ranks 1\n"
