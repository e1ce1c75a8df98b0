"""Some of the edges of a list laid out as a table that has room for a given number of neighbors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..runtime.table_sizes import TableSizes


@dataclass(frozen=True)
class ListedEdges:
    """Edges of which some are laid out, on the device.

    centre: (n_edges,), ascending; first: (n_atoms,), index of the first edge of each centre,
    anything for a centre without edges; reverse: (n_edges,), index of the reversed edge of each,
    n_edges where another rank holds it.
    """

    centre: Tensor
    first: Tensor
    reverse: Tensor


@dataclass(frozen=True)
class NeighborTable:
    """Where the edges of a table stand in the list from which it was laid out.

    One number for each slot of the table, (n_slots,), n_slots = n_atoms n_neighbors: source, the
    index of its edge in the list, anything where the slot is not valid; valid; reverse: the slot of
    the reversed edge, n_slots where another rank holds it or the slot is not valid. n_neighbors:
    width of the table; slots: (n_edges,), slot of each edge of the list, n_slots for those left
    out.
    """

    n_neighbors: int
    slots: Tensor
    source: Tensor
    valid: Tensor
    reverse: Tensor

    @classmethod
    def of(cls, edges: ListedEdges, keep: Tensor, sizes: TableSizes, name: str) -> NeighborTable:
        """Lay out the edges that are kept, in the order of the list, without a wait of the host.

        :param keep: (n_edges,), bool; the same for an edge and its reversed edge
        :param sizes: from which the table gets its width, under this name
        """
        n_atoms, device = len(edges.first), keep.device
        count = torch.add(torch.cumsum(keep, 0), keep, alpha=-1)  # kept edges before each edge
        column = count - count.index_select(0, edges.first).index_select(0, edges.centre)
        width = max(sizes.of(name, (column + 1) * keep), 1)
        size = n_atoms * width
        # One more slot receives all that is left out.
        slot = torch.add(column, edges.centre, alpha=width)
        slot = slot.masked_fill_(~keep | (column >= width), size)
        source = torch.zeros(size + 1, dtype=torch.int64, device=device)
        source = source.scatter(0, slot, torch.arange(len(slot), device=device))[:size]
        valid = torch.zeros(size + 1, dtype=torch.bool, device=device)
        valid = valid.scatter(0, slot, keep)[:size]
        there = edges.reverse.index_select(0, source)
        elsewhere = there >= len(slot)
        reverse = slot.index_select(0, there.masked_fill(elsewhere, 0))
        # By rounding, a length may differ at the two ends of an edge.
        valid = valid & (elsewhere | (reverse < size))
        return cls(width, slot, source, valid, reverse.masked_fill(elsewhere | ~valid, size))

    def laid_out(self, values: Tensor) -> Tensor:
        """Values of the slots, (n_slots, k), from those of the edges, (n_edges, k); else zero."""
        return values.index_select(0, self.source) * self.valid[:, None]
