"""Some of the edges of a list laid out as a table that has room for a given number of neighbors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..runtime.table_sizes import TableSizes


@dataclass(frozen=True)
class ListedEdges:
    """Edges of which some are laid out, on the device.

    centre: (n_edges,), ascending; first: (n_edges,), index of the first edge of the same centre;
    reverse: (n_edges,), index of the reversed edge of each, n_edges where another rank holds it;
    n_atoms: number of centres.
    """

    centre: Tensor
    first: Tensor
    reverse: Tensor
    n_atoms: int


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
        kept = torch.cumsum(keep, 0)
        before = torch.add(kept, keep, alpha=-1)  # kept edges before each edge
        of_centre = before.index_select(0, edges.first)
        width = max(sizes.of(name, kept - of_centre), 1)
        size = edges.n_atoms * width
        # One more slot receives all that is left out, and what there is no room for.
        slots = torch.add(before - of_centre, edges.centre, alpha=width)
        slots = torch.where(keep, slots, size).clamp_max_(size)
        index = torch.arange(len(keep), device=keep.device)
        source = index.new_full((size + 1,), -1).scatter(0, slots, index)[:size]
        valid, source = source >= 0, source.clamp_min(0)
        # Of an edge without a slot: size; of one that another rank holds: one more.
        there = torch.nn.functional.pad(slots, (0, 1), value=size + 1)
        reverse = there.index_select(0, edges.reverse.index_select(0, source))
        # By rounding, a length may differ at the two ends of an edge.
        valid = valid & (reverse != size)
        return cls(width, slots, source, valid, torch.where(valid, reverse, size).clamp_max_(size))

    def laid_out(self, values: Tensor) -> Tensor:
        """Values of the slots, (n_slots, k), from those of the edges, (n_edges, k); else zero."""
        return values.index_select(0, self.source) * self.valid[:, None]
