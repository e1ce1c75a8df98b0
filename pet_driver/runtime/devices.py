"""Choosing a device, and sharing the GPUs of a node among its ranks."""

from __future__ import annotations

import psutil
import torch

from ..errors import PetDriverError


def choose_device(name: str) -> torch.device:
    """
    :param name: "cpu", "cuda" or "cuda:N"
    :raises PetDriverError: if the name is unknown or there is no such device
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise PetDriverError(f"device is {name!r}; choose cpu, cuda or cuda:N") from error
    if device.type == "cpu":
        return device
    if device.type != "cuda":
        raise PetDriverError(f"device is {name!r}; choose cpu, cuda or cuda:N")
    if not torch.cuda.is_available():
        raise PetDriverError(
            f"device {name} was asked for but no GPU is visible to torch; use --device cpu"
        )
    if (device.index or 0) >= torch.cuda.device_count():
        raise PetDriverError(
            f"device {name} was asked for but there are only {torch.cuda.device_count()} GPUs; "
            "use a lower number"
        )
    return device


def device_of_rank(name: str, local_rank: int) -> str:
    """Device name for a rank: plain "cuda" becomes one of the node's GPUs, round-robin by
    node-local rank.
    """
    if name != "cuda" or not torch.cuda.is_available():
        return name
    return f"cuda:{local_rank % torch.cuda.device_count()}"


def free_memory(device: torch.device) -> int:
    """Bytes that could be had on the device now."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available
