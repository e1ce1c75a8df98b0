"""Choice of a device, how the ranks of a node share its GPUs, and how much memory is free."""

from __future__ import annotations

import gc

import psutil
import torch

from ..errors import PetDriverError
from .memory_limit import unused_memory


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
    :param local_rank: index of the rank among those that see the same GPUs

    >>> device_of_rank("cpu", local_rank=3)
    'cpu'
    """
    if name != "cuda" or not torch.cuda.is_available():
        return name
    return f"cuda:{local_rank % torch.cuda.device_count()}"


def ranks_on_device(name: str, local_rank: int, local_size: int) -> int:
    """Number of ranks that share the device of a rank, this one included.

    :param name: as for `device_of_rank`
    :param local_rank: index of the rank among those that see the same GPUs
    :param local_size: number of these ranks

    >>> ranks_on_device("cpu", local_rank=1, local_size=4)
    4
    """
    mine = device_of_rank(name, local_rank)
    return sum(device_of_rank(name, rank) == mine for rank in range(local_size))


def use_device(device: torch.device) -> None:
    """Make a GPU the one that MPI, CuPy, Triton and new tensors on "cuda" of this process use.

    :param device: "cuda" without a number changes nothing
    """
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)


def free_memory(device: torch.device) -> int:
    """Number of bytes that can be allocated on a device at present."""
    if device.type == "cuda":
        # What torch has taken from the driver and does not use serves for the next tensors.
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    free = psutil.virtual_memory().available
    limited = unused_memory()
    return free if limited is None else min(free, limited)


def release_memory() -> None:
    """Give back the memory of an evaluation that failed; not within `except`.

    The traceback of its exception refers to the tensors of the evaluation. A backward pass that
    failed has left tasks in the queue of this thread, which hold the tensors that it would have
    read; the next backward pass drops them.
    """
    gc.collect()  # exceptions and the frames in their tracebacks refer to each other
    with torch.enable_grad(), torch.autograd.set_multithreading_enabled(False):
        x = torch.ones((), requires_grad=True)
        torch.autograd.grad(2.0 * x, x)
    torch.cuda.empty_cache()


def short_of_memory(error: Exception | None) -> bool:
    """Whether an error of torch means that memory was not to be had, on any device."""
    of_cpu = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return of_cpu or isinstance(error, torch.OutOfMemoryError)


def keep_freed_memory() -> None:
    """Let the C library keep memory that was freed, up to 64 MB, for the next evaluation on a CPU.

    glibc returns free memory at the end of its heap to the system, which then hands out zeroed
    pages: a tenth of the time of an evaluation. What it keeps is twice the largest block that was
    freed so far and that is not larger than 32 MB; so one block, never touched, is freed here.
    """
    torch.empty(31 * 2**20, dtype=torch.uint8)
