"""Choice of a device, how the ranks of a node share its GPUs, and how much memory is free."""

from __future__ import annotations

import psutil
import torch

from ..errors import PetDriverError


def choose_device(name: str) -> torch.device:
    """Device of this name.

    :param name: "cpu", "cuda" or "cuda:N"
    :raises PetDriverError: if the name is unknown or there is no such device

    >>> choose_device("cpu")
    device(type='cpu')
    >>> choose_device("gpu")
    Traceback (most recent call last):
    pet_driver.errors.PetDriverError: device is 'gpu'; choose cpu, cuda or cuda:N
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
    """Name of the device for a rank; plain "cuda" becomes one GPU of the node, in turn.

    :param name: as for `choose_device`
    :param local_rank: index of the rank among those of its node

    >>> device_of_rank("cpu", local_rank=3)
    'cpu'
    """
    if name != "cuda" or not torch.cuda.is_available():
        return name
    return f"cuda:{local_rank % torch.cuda.device_count()}"


def free_memory(device: torch.device) -> int:
    """Number of bytes that can be allocated on a device at present."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available
