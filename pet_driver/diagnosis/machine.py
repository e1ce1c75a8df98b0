"""Cores, threads, memory and GPUs of a machine, and what keeps them from being used."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

import psutil
import torch

from ..parallel.node import allowed_cores
from ..runtime.devices import free_memory
from .finding import Finding

_LITTLE_MEMORY = 2e9  # bytes
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def describe_machine() -> list[Finding]:
    """Findings about processor, threads, load, memory and GPUs."""
    return [_processor(), _threads(), _load(), _memory(), *_gpus()]


def usable_cores() -> float:
    """Number of cores that this process may use: by affinity, and by the quota of a container."""
    cores = float(len(allowed_cores()))
    try:
        quota, period = _QUOTA.read_text().split()
        return min(cores, int(quota) / int(period))
    except (OSError, ValueError):  # no such limit
        return cores


def processor_name() -> str:
    """Model of the processor as Linux reports it; elsewhere its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _processor() -> Finding:
    capability = torch.backends.cpu.get_cpu_capability()
    problem = ""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # torch's
        problem = "this torch has no oneDNN, so matrix products are slow; install a wheel of torch"
    elif capability in ("DEFAULT", "NO AVX"):
        problem = f"torch uses no vector instructions here ({capability}); matrix products are slow"
    return Finding(
        "processor", f"{processor_name()}, {usable_cores():g} cores, {capability}", problem, True
    )


def _threads() -> Finding:
    threads, cores = torch.get_num_threads(), usable_cores()
    wanted = os.environ.get("OMP_NUM_THREADS")
    value = f"{threads} (OMP_NUM_THREADS {wanted or 'not set'})"
    problem = ""
    if threads > cores:
        problem = (
            f"torch uses {threads} threads on {cores:g} cores, which then wait for each other; "
            f"set OMP_NUM_THREADS={max(int(cores), 1)}"
        )
    elif wanted == "1" and cores >= 2:
        problem = (
            f"OMP_NUM_THREADS=1 leaves {cores - 1:g} cores idle, unless other ranks use them; "
            "unset it"
        )
    return Finding("threads", value, problem, True)


def _load() -> Finding:
    busy, cores = os.getloadavg()[0], usable_cores()
    problem = ""
    if busy > 0.5 * cores:
        problem = (
            f"other programs keep {busy:.1f} of {cores:g} cores busy, so that times are longer; "
            "measure again when they have ended"
        )
    return Finding("load", f"{busy:.1f} (mean of the last minute)", problem, True)


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    problem = ""
    free = free_memory(torch.device("cpu"))
    if free < _LITTLE_MEMORY:
        problem = (
            f"only {free / 1e9:.1f} GB of memory are free, so that evaluations are "
            "made in many parts; end other programs"
        )
    value = f"{free / 1e9:.1f} of {memory.total / 1e9:.1f} GB free"
    return Finding("memory", value, problem, True)


def _gpus() -> list[Finding]:
    """One finding for each GPU, or one that says why there is none."""
    if torch.cuda.is_available():
        found = []
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            name = torch.cuda.get_device_name(index)
            found.append(
                Finding(f"cuda:{index}", f"{name}, {free / 1e9:.0f} of {total / 1e9:.0f} GB free")
            )
        return found
    if shutil.which("nvidia-smi") is None:
        return [Finding("GPU", "none")]
    problem = (
        f"torch {torch.__version__} was built for CPUs only; install one that was built for CUDA"
        if torch.version.cuda is None
        else f"torch was built for CUDA {torch.version.cuda} but sees no GPU; compare the version "
        "of the driver in nvidia-smi, and CUDA_VISIBLE_DEVICES"
    )
    return [Finding("GPU", "there is an NVIDIA driver", problem)]
