"""How a GPU computes: precision of matrix products, and whether sums are reproducible."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

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
