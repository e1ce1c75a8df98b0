"""How what edges carry gets to their other end, and how what pulls at edges gets to atoms.

The swap sends the value on edge i-j to the place of edge j-i. It is its own inverse and its own
adjoint, whether the two edges live in one process or on two ranks, so the backward pass is the same
swap again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from ..model import LayerMap, MessageExchange
from .padded import PaddedNeighbors


class EdgeExchange(ABC):
    """What an evaluation must know of edges beyond their vectors.

    n_roots: number of atoms, the first of the centres, whose energies are wanted; None: all.
    """

    n_roots: int | None = None

    @abstractmethod
    def messages(self, environments: PaddedNeighbors) -> MessageExchange | Sequence[LayerMap]:
        """How messages get from layer to layer, as `PET.forward` takes it."""

    @abstractmethod
    def local_reverse(self) -> Tensor:
        """(n_edges,), index of the reversed edge of each edge, where all are in this process.

        :raises PetDriverError: if some are held by another rank
        """

    @abstractmethod
    def at_neighbors(self, environments: PaddedNeighbors, values: Tensor) -> Tensor:
        """(n_centres,) values of atoms to those of the neighbor of each edge, (n_edges,); of
        neighbors whose environments are not here, any value. Recorded by autograd.
        """

    @abstractmethod
    def restricted(self, keep: Tensor) -> tuple[EdgeExchange, Tensor, Tensor | None]:
        """What is left where edges lie beyond the cutoffs of their atoms.

        :param keep: (n_edges,), whether each is within; where the two ends of an edge differ, it
            stays
        :return: plan of the edges left, their indices (n_kept,), and the centres
            (n_kept_centres,) whose edges all had a value from `at_neighbors`; None: all
        """

    @abstractmethod
    def gather(self, gradient: Tensor, vectors: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
        """Forces and virials of the atoms, from the gradient with respect to edge vectors.

        F_i = sum_j (dE/dr_ij - dE/dr_ji) with r_ij = r_j - r_i. Each edge gives half of its virial
        -r_ij (x) dE/dr_ij to either end, symmetrized: for plain PET the antisymmetric part is the
        spurious torque on the box, for an exact model that of all atoms together vanishes.

        :param gradient, vectors: (n_edges, 3), eV/angstrom and angstrom
        :param centre: (n_edges,)
        :return: (n_atoms, 3) and (n_atoms, 3, 3)
        """


class ReverseEdgeExchange(EdgeExchange):
    """Knows the reversed edge of every edge, here or on another rank.

    n_centres: number of atoms whose edges these are.
    """

    n_centres: int

    @abstractmethod
    def swap(self, edges: Tensor) -> Tensor:
        """(n_edges, k) values to the values on the reversed edges, same shape; not recorded by
        autograd.
        """

    def messages(self, environments: PaddedNeighbors) -> MessageExchange:
        def exchange(messages: Tensor) -> Tensor:
            return environments.pad(_Swap.apply(environments.flatten(messages), self))

        return exchange

    def at_neighbors(self, environments: PaddedNeighbors, values: Tensor) -> Tensor:
        return _Swap.apply(values[environments.centre][:, None], self).squeeze(-1)

    def restricted(self, keep: Tensor) -> tuple[EdgeExchange, Tensor, Tensor | None]:
        # Rounding may let only one of two ranks see an edge within; its factor is zero.
        there = self.swap(keep[:, None].to(torch.float64)).squeeze(-1)
        kept = torch.nonzero(keep | (there > 0.5)).view(-1)
        return _Part(self, kept, len(keep)), kept, None

    def gather(self, gradient: Tensor, vectors: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
        difference = gradient - self.swap(gradient)
        forces = gradient.new_zeros(self.n_centres, 3).index_add(0, centre, difference)
        # r_ji = -r_ij: the half of the reversed edge needs nothing but its gradient.
        halves = -0.5 * vectors.detach()[:, :, None] * difference[:, None, :]
        virials = gradient.new_zeros(self.n_centres, 3, 3).index_add(0, centre, halves)
        return forces, symmetrized(virials)


class LocalExchange(ReverseEdgeExchange):
    """All edges and their reversed edges in one process: a permutation."""

    def __init__(self, reverse: Tensor, n_centres: int) -> None:
        self.reverse = reverse
        self.n_centres = n_centres

    def swap(self, edges: Tensor) -> Tensor:
        return edges.index_select(0, self.reverse)

    def local_reverse(self) -> Tensor:
        return self.reverse

    def restricted(self, keep: Tensor) -> tuple[EdgeExchange, Tensor, Tensor | None]:
        part, kept, _ = super().restricted(keep)
        return LocalExchange(part.local_reverse(), self.n_centres), kept, None


class _Part(ReverseEdgeExchange):
    """Some of the edges of a plan."""

    def __init__(self, whole: ReverseEdgeExchange, kept: Tensor, n_edges: int) -> None:
        self.whole = whole
        self.kept = kept
        self.n_edges = n_edges
        self.n_centres = whole.n_centres
        self.n_roots = whole.n_roots

    def swap(self, edges: Tensor) -> Tensor:
        table = edges.new_zeros(self.n_edges, edges.shape[1]).index_copy(0, self.kept, edges)
        return self.whole.swap(table).index_select(0, self.kept)

    def local_reverse(self) -> Tensor:
        place = torch.full((self.n_edges,), -1, device=self.kept.device)
        place[self.kept] = torch.arange(len(self.kept), device=self.kept.device)
        return place[self.whole.local_reverse()[self.kept]]


class _Swap(torch.autograd.Function):
    @staticmethod
    def forward(ctx, edges: Tensor, plan: ReverseEdgeExchange) -> Tensor:  # noqa: ANN001 (torch's own type is private)
        ctx.plan = plan
        return plan.swap(edges)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN001
        return _Swap.apply(gradient, ctx.plan), None


def symmetrized(tensors: Tensor) -> Tensor:
    """(..., 3, 3), the mean with the transpose."""
    return 0.5 * (tensors + tensors.transpose(-1, -2))
