"""How a GPU computes: precision of matrix products, and whether sums are reproducible."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from ..errors import PetDriverError

# Of cuBLAS, without which its products are not reproducible either; read when it is first used.
_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG", ":4096:8"


@dataclass(frozen=True)
class Arithmetic:
    """Settings of torch for a GPU, in force within `context` only.

    tf32: whether products of float32 matrices round their factors to TF32, which has a mantissa of
    10 bits instead of 23, None: whatever the program has set; deterministic: whether results are
    bitwise reproducible, which sums by atomic additions are not.
    """

    tf32: bool | None = None
    deterministic: bool = False

    @classmethod
    def chosen(cls, device: str, dtype: str, precision: str, deterministic: bool) -> Arithmetic:
        """Settings for a device; on a CPU, none is changed.

        :param device: its name; dtype: of the network; precision: "full" or "tf32"
        :raises PetDriverError: if TF32 is asked for where there is none
        """
        possible = dtype == "float32" and device != "cpu"
        if precision == "tf32" and not possible:
            raise PetDriverError(
                f"precision is tf32 with dtype {dtype} on device {device}; TF32 is for float32 on "
                "a GPU, leave precision out"
            )
        return cls(precision == "tf32" if possible else None, deterministic and device != "cpu")

    @contextmanager
    def context(self) -> Iterator[None]:
        """Context with these settings; those of before come back at its end.

        They are those of the whole process: another thread that wants others waits.
        """
        if self == Arithmetic():
            yield
            return
        with _IN_FORCE.held(self):
            yield


@dataclass(frozen=True)
class _Snapshot:
    """Settings of torch at one time.

    tf32: of matrix products, True or False, or what newer versions call it: "tf32", "ieee", or
    "none", which follows a setting for all devices.
    """

    tf32: bool | str
    deterministic: bool
    warns: bool

    @classmethod
    def now(cls) -> _Snapshot:
        """Those in force."""
        matmul = torch.backends.cuda.matmul
        tf32: bool | str
        if hasattr(matmul, "fp32_precision"):
            tf32 = matmul.fp32_precision
            if tf32 == _of_all_devices():
                tf32 = "none"  # else it would not follow that any more
        else:
            tf32 = matmul.allow_tf32
        warns = torch.is_deterministic_algorithms_warn_only_enabled()
        return cls(tf32, torch.are_deterministic_algorithms_enabled(), warns)

    def with_settings(self, wanted: Arithmetic) -> _Snapshot:
        """The same with those that are wanted."""
        tf32: bool | str = self.tf32
        if wanted.tf32 is not None:
            newer = "tf32" if wanted.tf32 else "ieee"
            tf32 = newer if isinstance(tf32, str) else wanted.tf32
            if not wanted.tf32 and self.tf32 == "none" and _of_all_devices() != "tf32":
                tf32 = "none"
        if wanted.deterministic:
            return _Snapshot(tf32, True, False)
        return _Snapshot(tf32, self.deterministic, self.warns)

    def put(self, present: _Snapshot) -> None:
        """Bring these settings into force; those that are already are left alone."""
        if self.tf32 != present.tf32:
            interface = "fp32_precision" if isinstance(self.tf32, str) else "allow_tf32"
            setattr(torch.backends.cuda.matmul, interface, self.tf32)
        if (self.deterministic, self.warns) != (present.deterministic, present.warns):
            if self.deterministic:
                os.environ.setdefault(*_WORKSPACE)
            torch.use_deterministic_algorithms(self.deterministic, warn_only=self.warns)


def _of_all_devices() -> str:
    """Setting that products follow which have none of their own."""
    return str(getattr(torch.backends, "fp32_precision", "none"))


class _SharedSettings:
    """The settings of the process; threads that want the same ones evaluate at the same time."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._contexts: dict[int, int] = {}  # number that each thread is in
        self._wanted = Arithmetic()
        self._outside: _Snapshot

    @contextmanager
    def held(self, wanted: Arithmetic) -> Iterator[None]:
        """Context in which these settings are in force."""
        me = threading.get_ident()
        with self._changed:
            if me not in self._contexts:
                self._changed.wait_for(lambda: not self._contexts or wanted == self._wanted)
            before = self._wanted, _Snapshot.now()
            if not self._contexts:
                self._outside = before[1]
            before[1].with_settings(wanted).put(before[1])
            self._wanted = wanted
            self._contexts[me] = self._contexts.get(me, 0) + 1
        try:
            yield
        finally:
            with self._changed:
                self._contexts[me] -= 1
                if not self._contexts[me]:
                    del self._contexts[me]
                if not self._contexts:
                    self._outside.put(_Snapshot.now())
                elif me in self._contexts:  # within another context of this thread
                    before[1].put(_Snapshot.now())
                    self._wanted = before[0]
                self._changed.notify_all()


_IN_FORCE = _SharedSettings()
