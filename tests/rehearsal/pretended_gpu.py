"""A GPU that is not there: tensors on "cuda" whose numbers lie in the memory of the host.

Within `PretendedGpu` results, sizes and branches are real. Every operation below autograd, forward
and backward, passes through it. It fails where CUDA would (tensors of two devices in one operation,
indices on the wrong one, `numpy()` of a tensor on the GPU), and counts kernels, waits of the host,
uploads and downloads.

What it does not know: streams, the order of atomics, pointers for an MPI that reads device memory,
kernels of Triton, CUDA graphs and compiled code. Some operations (an accumulating index_put, sort,
nonzero) are several launches on CUDA and one here.

It is a plugin of pytest, since it must be loaded before torch:
``PYTHONPATH=tests/rehearsal python -m pytest -p pretended_gpu tests/rehearsal``
"""

from __future__ import annotations

import contextlib
import threading
import unittest.mock
from typing import Any

import device_guard  # before torch
import torch
from account import Account, asking_line
from operations import ALLOWS_HOST_INDICES, NO_KERNEL, WAITS
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

REASON = device_guard.REASON
CPU = torch.device("cpu")
_MEMORY = 80_000_000_000
if REASON is None:
    # It has a kernel of its own on CUDA; a CPU-only torch would take it to pieces.
    _library = torch.library.Library("aten", "IMPL")
    _library.impl("silu_backward", lambda *_: None, "CUDA")


class OnGpu(torch.Tensor):
    """A tensor that says it is on a GPU; host: the tensor that has the numbers."""

    host: Tensor

    @staticmethod
    def __new__(cls, host: Tensor, device: torch.device) -> OnGpu:
        found = torch.Tensor._make_wrapper_subclass(
            cls,
            host.shape,
            strides=host.stride(),
            storage_offset=host.storage_offset(),
            dtype=host.dtype,
            layout=host.layout,
            device=device,
            requires_grad=False,
        )
        found.host = host
        return found

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func, _types, args=(), kwargs=None):
        if PretendedGpu.current is None:
            raise RuntimeError(f"{func} of a tensor on the pretended GPU, outside of its context")
        return PretendedGpu.current.run(func, args, kwargs or {})

    def tolist(self):
        return self.cpu().tolist()

    def numpy(self, **_keywords):
        raise TypeError(f"can't convert a tensor on {self.device} to numpy; use Tensor.cpu()")

    def __array__(self, dtype=None, copy=None):
        return self.numpy()

    def __repr__(self) -> str:
        return f"OnGpu({self.host!r})"

    def __deepcopy__(self, memo):
        return OnGpu(self.host.clone(), self.device)


class PretendedGpu(TorchDispatchMode):
    """Context in which ``device="cuda"`` is there.

    :param count: number of GPUs
    :param free: bytes that the driver calls free
    :param unused: bytes that torch's allocator holds and does not use
    :param short_at: launches, counted from 0 since the start, at which memory runs short

    account: what was done since the start or the last `reset`; current_index: of the device that
    `torch.cuda.set_device` chose; calls: names of what was asked of `torch.cuda`.
    """

    current: PretendedGpu | None = None

    def __init__(
        self,
        count: int = 1,
        free: int = _MEMORY,
        unused: int = 0,
        short_at: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self.count, self.free, self.unused = count, free, unused
        self.short_at = set(short_at)
        self.account = Account()
        self.current_index = 0
        self.calls: list[str] = []
        self.launches = 0

    # -- the context --

    def __enter__(self) -> PretendedGpu:
        self._stack = contextlib.ExitStack()
        for name, value in self._replaced().items():
            self._stack.enter_context(unittest.mock.patch.object(torch.cuda, name, value))
        # Module.to() must not put the data of the GPU into the shell of a host tensor.
        future = torch.__future__
        self._stack.callback(
            future.set_overwrite_module_params_on_conversion,
            future.get_overwrite_module_params_on_conversion(),
        )
        future.set_overwrite_module_params_on_conversion(True)
        self._lifts = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(True)
        PretendedGpu.current = self
        return super().__enter__()

    def __exit__(self, *error) -> None:
        super().__exit__(*error)
        torch._C._set_only_lift_cpu_tensors(self._lifts)
        PretendedGpu.current = None
        self._stack.close()

    def _replaced(self) -> dict[str, Any]:
        """What stands in for functions of `torch.cuda`."""

        def called(name: str, result: object = None) -> Any:
            def function(*_args: object, **_keywords: object) -> object:
                self.calls.append(name)
                return result

            return function

        def choose(device: object) -> None:
            self.calls.append("set_device")
            index = torch.device(device).index
            if index is None:
                raise ValueError(f"expected a device with an index, got {device}")
            self.current_index = index

        return {
            "is_available": lambda: True,
            "device_count": lambda: self.count,
            "_lazy_init": lambda: None,
            "is_initialized": lambda: True,
            "mem_get_info": lambda *_: (self.free, _MEMORY),
            "memory_reserved": lambda *_: self.unused + 1_000_000,
            "memory_allocated": lambda *_: 1_000_000,
            "empty_cache": called("empty_cache"),
            "is_bf16_supported": lambda **_: True,
            "set_device": choose,
            "current_device": lambda: self.current_index,
            "synchronize": lambda *_: self._wait("synchronize"),
            "current_stream": lambda *_: _Stream(self),
            "Event": lambda **_: _Event(self),
        }

    def reset(self) -> Account:
        """Begin to count anew.

        :return: what was counted until now
        """
        before, self.account = self.account, Account()
        return before

    # -- one operation --

    def __torch_dispatch__(self, func, _types, args=(), kwargs=None):
        return self.run(func, args, kwargs or {})

    def run(self, func, args, kwargs):
        """Do one operation, on the GPU if it has to do with it."""
        torch._C._set_only_lift_cpu_tensors(True)  # a setting of each thread; autograd has its own
        name = func._schema.name.split("::")[1]
        flat, _ = tree_flatten((args, kwargs))
        there = [x for x in flat if isinstance(x, OnGpu)]
        here = [x for x in flat if isinstance(x, Tensor) and not isinstance(x, OnGpu)]
        target = kwargs.get("device")
        target = None if target is None else torch.device(target)
        kwargs = {k: v for k, v in kwargs.items() if k != "pin_memory"}
        if not there and (target is None or target.type != "cuda"):
            return func(*args, **kwargs)
        if name == "copy_":
            return self._copy_into(*args)
        if name == "_to_copy":
            return self._copy(func, args[0], kwargs, target)
        device = there[0].device if there else _indexed(target)
        self._refuse(func, args, there, here, device, target)
        if target is not None:
            kwargs = {**kwargs, "device": CPU}
        host_args, host_kwargs = tree_map(_host, (args, kwargs))
        out = func(*host_args, **host_kwargs)
        self._count(name, (host_args, host_kwargs), out)
        return out if name == "_local_scalar_dense" else _wrapped(func, args, kwargs, out, device)

    def _copy_into(self, to: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
        _host(to).copy_(_host(source))
        self._transfer(source, to, to, waits=not non_blocking)
        return to

    def _copy(self, func, source: Tensor, kwargs, target: torch.device | None) -> Tensor:
        waits = not kwargs.get("non_blocking")
        kept = {k: v for k, v in kwargs.items() if k not in ("device", "non_blocking")}
        out = func(_host(source), **kept)
        goal = source.device if target is None else _indexed(target)
        found = OnGpu(out, goal) if goal.type == "cuda" else out
        self._transfer(source, found, out, waits)
        return found

    def _transfer(self, source: Tensor, goal: Tensor, moved: Tensor, waits: bool) -> None:
        size = moved.numel() * moved.element_size()
        line = asking_line()
        if isinstance(source, OnGpu) and isinstance(goal, OnGpu):
            if source.device != goal.device:
                raise RuntimeError(f"copy from {source.device} to {goal.device}")
            self._launch("copy", 2 * size)
        elif isinstance(goal, OnGpu):
            self.account.uploads[line] += 1
            self.account.bytes_up += size
        else:
            self.account.downloads[line] += 1
            self.account.bytes_down += size
            if waits:
                self._wait("download")

    # -- what CUDA would refuse --

    def _refuse(self, func, args, there, here, device, target) -> None:
        name = func._schema.name.split("::")[1]
        if target is not None and target.type != "cuda" and there:
            raise RuntimeError(f"{func}: a result on {target} from tensors on {device}")
        if any(x.device != device for x in there):
            raise RuntimeError(f"{func}: tensors on {sorted({str(x.device) for x in there})}")
        if name.startswith("native_layer_norm"):
            x, *others = [t for t in there if t.is_floating_point()]
            rows = x.numel() // x.shape[-1] if x.shape[-1] else 0
            # Means and deviations of the rows may have a higher precision.
            dtypes = {x.dtype, *(t.dtype for t in others if t.numel() != rows)}
            if len(dtypes) > 1:
                raise RuntimeError(f"{func}: expected one scalar type but found {dtypes}")
        for x in here:
            if name in ALLOWS_HOST_INDICES and any(x is index for index in args[1]):
                self.account.uploads[f"{asking_line()} (index on the host)"] += 1
            elif x.dim() > 0 or name in ("index_select", "gather", "embedding", "mm", "bmm"):
                raise RuntimeError(
                    "Expected all tensors to be on the same device, but found at least two "
                    f"devices, {device} and cpu! (in {func})"
                )

    # -- counting --

    def _count(self, name: str, given, out) -> None:
        args, kwargs = given
        unsized = name == "repeat_interleave" and kwargs.get("output_size") is None
        if name in WAITS or (unsized and isinstance(args[0], Tensor) and len(args) < 3):
            self._wait(name)
        if name in ALLOWS_HOST_INDICES and any(
            isinstance(x, Tensor) and x.dtype in (torch.bool, torch.uint8) for x in args[1] or ()
        ):
            self._wait(f"{name} by a mask")
        if name in NO_KERNEL:
            return
        if name.startswith(("index_put", "_index_put")) and (
            kwargs.get("accumulate") or (len(args) > 3 and args[3])
        ):
            self.account.sorts[asking_line()] += 1
        tensors = [x for x in tree_flatten((given, out))[0] if isinstance(x, Tensor)]
        self._launch(name, sum(x.numel() * x.element_size() for x in tensors))

    def _launch(self, name: str, size: int) -> None:
        self.launches += 1
        if self.launches - 1 in self.short_at:
            raise torch.OutOfMemoryError("CUDA out of memory (pretended)")
        line = asking_line()
        self.account.kernels[name] += 1
        self.account.lines[line] += 1
        self.account.line_bytes[line] += size
        self.account.threads.add(threading.current_thread().name)

    def _wait(self, what: str) -> None:
        self.account.waits[f"{asking_line()} {what}"] += 1


class _Stream:
    def __init__(self, gpu: PretendedGpu) -> None:
        self._gpu = gpu

    def synchronize(self) -> None:
        self._gpu._wait("stream")


class _Event:
    """An event of a stream; its time is the number of launches before it, in milliseconds."""

    def __init__(self, gpu: PretendedGpu) -> None:
        self._gpu, self.time = gpu, 0

    def record(self, _stream: object = None) -> None:
        self.time = self._gpu.launches

    def query(self) -> bool:
        return True

    def synchronize(self) -> None:
        self._gpu._wait("event")

    def elapsed_time(self, later: _Event) -> float:
        return float(later.time - self.time)


def _host(x):
    return x.host if isinstance(x, OnGpu) else x


def _indexed(device: torch.device) -> torch.device:
    return device if device.index is not None else torch.device(device.type, _current_index())


def _current_index() -> int:
    return PretendedGpu.current.current_index if PretendedGpu.current else 0


def _wrapped(func, args, kwargs, out, device):
    """Result of an operation as tensors on the GPU; what was written to is returned itself."""
    written = [
        args[k] if k < len(args) else kwargs.get(argument.name)
        for k, argument in enumerate(func._schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
    written = [x for x in written if isinstance(x, OnGpu)]
    returned = [r.alias_info is not None and r.alias_info.is_write for r in func._schema.returns]
    if any(returned) and written:
        return written[0] if len(returned) == 1 else tuple(written)

    def wrap(x):
        return OnGpu(x, device) if isinstance(x, Tensor) and not isinstance(x, OnGpu) else x

    return tree_map(wrap, out)
