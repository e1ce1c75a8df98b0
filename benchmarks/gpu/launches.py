"""Kernels, copies and waits of one evaluation, as torch's profiler or the pretended GPU count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from settings import Settings

_LAUNCHES = (
    "cudaLaunchKernel",
    "cuLaunchKernel",
    "cudaLaunchCooperativeKernel",
    "cudaGraphLaunch",
)
_WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")


def counted(settings: Settings, work: Callable[[], object]) -> dict[str, Any]:
    """Counts by name; empty on a CPU."""
    if settings.pretended:
        return _pretended(work)
    return _profiled(settings, work) if settings.on_gpu else {}


def _profiled(settings: Settings, work: Callable[[], object]) -> dict[str, Any]:
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    torch.cuda.synchronize(settings.device)
    with torch.profiler.profile(activities=activities) as profiler:
        work()
        # Those that the work itself asks for are counted one too many by this one.
        torch.cuda.synchronize(settings.device)
    events = profiler.key_averages()

    def count(names: tuple[str, ...]) -> int:
        return sum(event.count for event in events if event.key.startswith(names))

    def copies(direction: str) -> int:
        return sum(event.count for event in events if event.key.startswith(f"Memcpy {direction}"))

    on_device = [event for event in events if event.device_type != torch.autograd.DeviceType.CPU]
    return {
        "launches": count(_LAUNCHES),
        "waits": max(count(_WAITS) - 1, 0),
        "uploads": copies("HtoD"),
        "downloads": copies("DtoH"),
        "kernels": sum(event.count for event in on_device if not event.key.startswith("Mem")),
        "busy ms": 1e-3 * sum(event.self_device_time_total for event in on_device),
    }


def _pretended(work: Callable[[], object]) -> dict[str, Any]:
    import pretended_gpu

    gpu = pretended_gpu.PretendedGpu.current
    assert gpu is not None
    gpu.reset()
    work()
    totals = gpu.reset().totals()
    return {
        "launches": totals["kernels"],
        "waits": totals["waits"],
        "uploads": totals["uploads"],
        "downloads": totals["downloads"],
    }
