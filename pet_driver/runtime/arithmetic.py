"""How a GPU computes: precision of matrix products, and whether sums are reproducible."""

from __future__ import annotations

import os
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
    10 bits instead of 23; deterministic: whether results are bitwise reproducible, which sums by
    atomic additions are not.
    """

    tf32: bool = False
    deterministic: bool = False

    @classmethod
    def chosen(cls, device: str, dtype: str, precision: str, deterministic: bool) -> Arithmetic:
        """Settings for a device; reproducible results need none on a CPU.

        :param device: its name; dtype: of the network; precision: "full" or "tf32"
        :raises PetDriverError: if TF32 is asked for where there is none
        """
        tf32 = precision == "tf32"
        if tf32 and (dtype != "float32" or device == "cpu"):
            raise PetDriverError(
                f"precision is tf32 with dtype {dtype} on device {device}; TF32 is for float32 on "
                "a GPU, leave precision out"
            )
        return cls(tf32, deterministic and device != "cpu")

    @contextmanager
    def context(self) -> Iterator[None]:
        """Context with these settings; those of before come back at its end."""
        matmul = torch.backends.cuda.matmul
        tf32, deterministic = matmul.allow_tf32, torch.are_deterministic_algorithms_enabled()
        warns = torch.is_deterministic_algorithms_warn_only_enabled()
        try:
            if self.tf32:
                matmul.allow_tf32 = True
            if self.deterministic:
                os.environ.setdefault(*_WORKSPACE)
                torch.use_deterministic_algorithms(True)
            yield
        finally:
            if self.tf32:
                matmul.allow_tf32 = tf32
            if self.deterministic:
                torch.use_deterministic_algorithms(deterministic, warn_only=warns)
