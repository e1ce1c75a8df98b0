"""Swapping what the two directions of every edge carry, as an autograd function.

The swap sends the value on edge i-j to the place of edge j-i. It is its own inverse and its own
adjoint, whether the two edges live in one process or on two ranks, so the backward pass is the same
swap again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from .structure import Environments


class SwapPlan(Protocol):
    """Knows the reversed edge of every edge."""

    def swap(self, edges: Tensor) -> Tensor:
        """(n_edges, k) values to the values on the reversed edges, same shape; not recorded by
        autograd.
        """
        ...

    def local_reverse(self) -> Tensor:
        """(n_edges,), index of the reversed edge of each edge, where all are in this process.

        :raises PetDriverError: if some are held by another rank
        """
        ...


class LocalPlan:
    """All edges and their reversed edges in one process: a permutation."""

    def __init__(self, reverse: Tensor) -> None:
        self.reverse = reverse

    def swap(self, edges: Tensor) -> Tensor:
        return edges.index_select(0, self.reverse)

    def local_reverse(self) -> Tensor:
        return self.reverse


class _Swap(torch.autograd.Function):
    @staticmethod
    def forward(ctx, edges: Tensor, plan: SwapPlan) -> Tensor:  # noqa: ANN001 (torch's own type is private)
        ctx.plan = plan
        return plan.swap(edges)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN001
        return _Swap.apply(gradient, ctx.plan), None


def swap_messages(environments: Environments, plan: SwapPlan) -> Callable[[Tensor], Tensor]:
    """Exchange for `PET.forward`: padded (n_centres, n_neighbors, width) messages to those of the
    reversed edges.
    """

    def exchange(messages: Tensor) -> Tensor:
        return environments.pad(_Swap.apply(environments.flatten(messages), plan))

    return exchange
