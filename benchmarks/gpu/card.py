"""Synchronization with the card, and its peak memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import torch
from settings import Settings

MEGABYTE = 2**20
T = TypeVar("T")


def index(settings: Settings) -> int:
    """Number of the card; some functions of torch want no less."""
    given = torch.device(settings.device).index
    return torch.cuda.current_device() if given is None else given


def wait(settings: Settings) -> None:
    """Wait until the card has done all that it was asked for."""
    if settings.on_gpu:
        torch.cuda.synchronize(settings.device)


def timed(settings: Settings, work: Callable[[], T]) -> tuple[float, T]:
    """Milliseconds of a call until the card is done, and what it returns."""
    wait(settings)
    start = time.perf_counter()
    result = work()
    wait(settings)
    return 1e3 * (time.perf_counter() - start), result


def begin_peak(settings: Settings) -> None:
    """Give unused memory back, and begin to record the peak."""
    if settings.on_gpu:
        torch.cuda.synchronize(settings.device)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(settings.device)


def peak(settings: Settings) -> dict[str, float]:
    """Most memory since `begin_peak`, MB: used by tensors, and taken from the driver."""
    if not settings.on_gpu:
        return {}
    device = settings.device
    return {
        "peak MB": round(torch.cuda.max_memory_allocated(device) / MEGABYTE, 1),
        "reserved MB": round(torch.cuda.max_memory_reserved(device) / MEGABYTE, 1),
    }
