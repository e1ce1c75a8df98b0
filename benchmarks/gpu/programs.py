"""Programs that steps start: LAMMPS, i-PI, MPI jobs; with the pretended GPU where that is asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from settings import Settings

BIN = Path(sys.executable).parent
WRAPPER = Path(__file__).with_name("pretended_program.py")


@dataclass(frozen=True)
class Finished:
    """What a program has left: exit code and what it printed."""

    code: int
    stdout: str
    stderr: str

    @property
    def tail(self) -> str:
        """Last lines, for the sentence of a failure."""
        lines = [line.strip() for line in (self.stdout + self.stderr).splitlines() if line.strip()]
        return " / ".join(lines[-4:])


def program_environment(settings: Settings, file: Path) -> list[str]:
    """Words that run a file of Python, in the pretence if there is one."""
    wrapper = [str(WRAPPER)] if settings.pretended else []
    return [sys.executable, *wrapper, str(file)]


def installed(name: str) -> Path:
    """A program of this environment.

    :raises FileNotFoundError: if it is not installed
    """
    path = BIN / name
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there; install pet-driver[lammps,ipi]")
    return path


def mpi_command(ranks: int) -> list[str]:
    """Words that start a job: the launcher in this environment, else that of the machine."""
    local = BIN / "mpiexec"
    return [str(local) if local.exists() else "mpiexec", "-n", str(ranks)]


def run_program(
    command: list[str], folder: Path, settings: Settings, seconds: float, fails: bool = False
) -> Finished:
    """Run a program to its end; all that it has started ends with it.

    :param folder: in which it runs
    :param seconds: after which it is ended
    :param fails: whether an exit code other than 0 is expected
    :raises RuntimeError: with its last lines, if it fails unexpectedly
    :raises TimeoutError: if it takes too long
    """
    threads = {} if settings.on_gpu else {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **threads},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"{Path(command[0]).name} took more than {seconds:.0f} s") from error
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    result = Finished(process.returncode, stdout, stderr)
    if result.code and not fails:
        raise RuntimeError(f"{Path(command[0]).name} ended with code {result.code}: {result.tail}")
    return result
