"""Reverse-edge exchange: values on edge i-j become those on edge j-i.

The exchange is its own inverse and its own adjoint, whether the two edges are held by one process
or by two ranks, so the backward pass is the same exchange again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..model import LayerMap, MessageExchange
from .neighbor_table import NeighborTable
from .padded import PaddedNeighbors, inverse_index


@dataclass(frozen=True)
class Truncation:
    """Exchange of the edges that lie within the cutoffs of their atoms.

    exchange: of the edges kept; edges: (n_kept,), their indices; centres: (n_kept_centres,),
    indices of the centres all of whose neighbors had a value from `EdgeExchange.at_neighbors`,
    None: all centres.
    """

    exchange: EdgeExchange
    edges: Tensor
    centres: Tensor | None = None


class EdgeExchange(ABC):
    """Which edge is the reverse of which, and where it is held."""

    @abstractmethod
    def messages(self, padded: PaddedNeighbors) -> MessageExchange | Sequence[LayerMap]:
        """Exchange of messages between layers, in the form that `PET.forward` takes."""

    @abstractmethod
    def local_reverse(self) -> Tensor:
        """Index of the reversed edge of each edge, (n_edges,).

        :raises PetDriverError: if other ranks may hold some of them
        """

    @abstractmethod
    def at_neighbors(self, padded: PaddedNeighbors, values: Tensor) -> Tensor:
        """Values (n_edges,) of the neighbor of each edge, from those of the centres (n_centres,).

        Recorded by autograd. Collective where ranks exchange messages; where they do not, the value
        of a neighbor that is no centre here is arbitrary.
        """

    @abstractmethod
    def truncated(self, keep: Tensor) -> Truncation:
        """Leave out edges beyond the cutoffs of their atoms.

        Collective where ranks exchange messages.

        :param keep: (n_edges,), whether each edge is within; an edge is kept if it or its reversed
            edge is
        """


class ReverseEdgeExchange(EdgeExchange):
    """Exchange in which every edge has its reversed edge, here or on another rank."""

    @abstractmethod
    def reversed_values(self, edges: Tensor) -> Tensor:
        """Values (n_edges, k) of the reversed edges, from those of the edges (n_edges, k).

        `exchanged` is the same, recorded by autograd.
        """

    def exchanged(self, edges: Tensor) -> Tensor:
        """Values (n_edges, k) of the reversed edges; recorded by autograd."""
        found: Tensor = _Exchange.apply(edges, self)  # type: ignore[no-untyped-call]
        return found

    def messages(self, padded: PaddedNeighbors) -> MessageExchange:
        """Exchange of the messages of all centres."""

        def exchange(messages: Tensor) -> Tensor:
            return padded.pad(self.exchanged(padded.flatten(messages)))

        return exchange

    def at_neighbors(self, padded: PaddedNeighbors, values: Tensor) -> Tensor:
        """Values of the neighbors, which are the centres of the reversed edges."""
        of_centres = values.index_select(0, padded.centre)
        return self.exchanged(of_centres[:, None]).squeeze(-1)

    def truncated(self, keep: Tensor) -> Truncation:
        """Leave out edges that lie beyond the cutoff at both of their ends."""
        # By rounding, an edge may be within on one of its two ranks only; its factor is zero.
        there = self.reversed_values(keep[:, None].to(torch.float64)).squeeze(-1)
        kept = torch.nonzero(keep | (there > 0.5)).view(-1)
        return Truncation(_PartialExchange(self, kept, len(keep)), kept)


class LocalExchange(ReverseEdgeExchange):
    """All edges and their reversed edges in one process: a permutation.

    :param reverse: (n_edges,), index of the reversed edge of each edge
    """

    def __init__(self, reverse: Tensor) -> None:
        self.reverse = reverse

    def reversed_values(self, edges: Tensor) -> Tensor:
        """Values (n_edges, k) of the reversed edges, from those of the edges (n_edges, k)."""
        return edges.index_select(0, self.reverse)

    def local_reverse(self) -> Tensor:
        """Index of the reversed edge of each edge, (n_edges,)."""
        return self.reverse

    def truncated(self, keep: Tensor) -> Truncation:
        """Leave out edges that lie beyond the cutoff at both of their ends."""
        part = super().truncated(keep)
        return Truncation(LocalExchange(part.exchange.local_reverse()), part.edges)


class TableExchange(ReverseEdgeExchange):
    """Exchange of a table whose slots are all listed as edges, all in one process.

    :param reverse: (n_slots,), slot of the reversed edge of each edge, n_slots: none, so that the
        value is zero
    """

    def __init__(self, reverse: Tensor) -> None:
        self.reverse = reverse

    def reversed_values(self, edges: Tensor) -> Tensor:
        """Values (n_slots, k) of the reversed edges, from those of the edges (n_slots, k)."""
        return with_zero_row(edges).index_select(0, self.reverse)

    def local_reverse(self) -> Tensor:
        """Slot of the reversed edge of each edge, (n_slots,); n_slots for none."""
        return self.reverse

    def narrowed(self, table: NeighborTable) -> TableExchange:
        """Exchange of another table, laid out from this one."""
        return TableExchange(table.reverse)


def with_zero_row(rows: Tensor) -> Tensor:
    """Rows (n, k) and one more of zeros, which an index of n stands for."""
    return torch.cat([rows, rows.new_zeros(1, rows.shape[1])])


class BothEndsExchange(EdgeExchange):
    """Exchange in which both atoms of each edge are held here, ghosts included.

    n_atoms: number of atoms, ghosts included; centre, neighbor: (n_edges,), indices of the atoms.
    """

    n_atoms: int
    centre: Tensor
    neighbor: Tensor

    def to_owned(self, atoms: Tensor, n_owned: int) -> Tensor:
        """Rows (n_owned, k) of this process's own atoms, from those of all atoms (n_atoms, k).

        Those of ghosts are added to those of their owners, unless the engine does so. Collective
        in the former case.
        """
        return atoms[:n_owned]


class _PartialExchange(ReverseEdgeExchange):
    """Exchange of some of the edges of another exchange.

    :param kept: (n_kept,), indices of the edges; n_edges: number of edges of the whole
    """

    def __init__(self, whole: ReverseEdgeExchange, kept: Tensor, n_edges: int) -> None:
        self.whole = whole
        self.kept = kept
        self.n_edges = n_edges

    def reversed_values(self, edges: Tensor) -> Tensor:
        table = edges.new_zeros(self.n_edges, edges.shape[1]).index_copy(0, self.kept, edges)
        return self.whole.reversed_values(table).index_select(0, self.kept)

    def local_reverse(self) -> Tensor:
        return inverse_index(self.kept, self.n_edges)[self.whole.local_reverse()[self.kept]]


class _Exchange(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, edges: Tensor, exchange: ReverseEdgeExchange) -> Tensor:  # noqa: ANN401
        ctx.exchange = exchange
        return exchange.reversed_values(edges)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        return ctx.exchange.exchanged(gradient), None
