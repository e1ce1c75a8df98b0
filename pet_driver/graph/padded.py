"""Edges as a padded table with one row for each centre, the layout that the network takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .neighbor_table import NeighborTable


@dataclass(frozen=True)
class PaddedNeighbors:
    """Species of centres and neighbors, and the slot of each edge in the padded table.

    n_centres, n_neighbors: shape of the table; slots: (n_edges,), position of each edge in the
    flattened table, ascending, as edges are sorted by centre; centre_species: (n_centres,) and
    neighbor_species: (n_centres, n_neighbors), indices into the species of the model; valid:
    (n_centres, n_neighbors), False for padding; charge_and_spin: (n_centres, 2), of the structure
    of each centre, None: not given; full: whether all slots are listed as edges, also those that
    are not valid.
    """

    n_centres: int
    n_neighbors: int
    slots: Tensor
    centre_species: Tensor
    neighbor_species: Tensor
    valid: Tensor
    charge_and_spin: Tensor | None = None
    full: bool = False

    @classmethod
    def from_edges(
        cls,
        centre: NDArray[np.int64],
        centre_species: NDArray[np.int64],
        edge_species: NDArray[np.int64],
        device: torch.device,
    ) -> PaddedNeighbors:
        """Lay out the edges of a neighbor list.

        :param centre: (n_edges,), centre of each edge, ascending
        :param centre_species: (n_centres,), species index of each centre
        :param edge_species: (n_edges,), species index of the neighbor of each edge
        """
        n_centres = len(centre_species)
        counts = np.bincount(centre, minlength=n_centres)
        width = max(int(counts.max(initial=0)), 1)
        first = np.cumsum(counts) - counts
        slots = centre * width + np.arange(len(centre)) - first[centre]
        neighbor_species = np.zeros(n_centres * width, dtype=np.int64)
        neighbor_species[slots] = edge_species
        valid = np.zeros(n_centres * width, dtype=bool)
        valid[slots] = True
        return cls(
            n_centres,
            width,
            torch.as_tensor(slots, device=device),
            torch.as_tensor(centre_species, device=device),
            torch.as_tensor(neighbor_species.reshape(n_centres, width), device=device),
            torch.as_tensor(valid.reshape(n_centres, width), device=device),
        )

    @classmethod
    def of_table(
        cls,
        table: NeighborTable,
        centre_species: Tensor,
        edge_species: Tensor,
        charge_and_spin: Tensor | None,
    ) -> PaddedNeighbors:
        """All slots of a table that was laid out from a list of edges.

        :param centre_species: (n_centres,), species index of each centre
        :param edge_species: (n_edges,), species index of the neighbor of each edge of the list
        :param charge_and_spin: (n_centres, 2), None: not given
        """
        shape = (len(centre_species), table.n_neighbors)
        species = edge_species.index_select(0, table.source)
        return cls(
            *shape,
            torch.arange(len(table.valid), device=table.valid.device),
            centre_species,
            torch.where(table.valid, species, 0).view(shape),
            table.valid.view(shape),
            charge_and_spin,
            full=True,
        )

    def pad(self, edges: Tensor) -> Tensor:
        """Table (n_centres, n_neighbors, k) of (n_edges, k) values, zero where there is no edge."""
        if self.full:
            return edges.view(self.n_centres, self.n_neighbors, edges.shape[-1])
        table = edges.new_zeros(self.n_centres * self.n_neighbors, edges.shape[-1])
        return table.index_copy(0, self.slots, edges).view(
            self.n_centres, self.n_neighbors, edges.shape[-1]
        )

    def flatten(self, table: Tensor) -> Tensor:
        """Values (n_edges, k) of a table (n_centres, n_neighbors, k)."""
        flat = table.reshape(self.n_centres * self.n_neighbors, table.shape[-1])
        return flat if self.full else flat.index_select(0, self.slots)

    def sums(self, edges: Tensor) -> Tensor:
        """Sums (n_centres, k) of the values (n_edges, k) of the edges of each centre."""
        if self.full:
            return self.pad(edges).sum(1)
        none = edges.new_zeros(self.n_centres, edges.shape[-1])
        return none.index_add(0, self.centre, edges)

    @property
    def centre(self) -> Tensor:
        """Centre of each edge, (n_edges,)."""
        return self.slots // self.n_neighbors

    def restricted(self, edges: Tensor, centres: Tensor | None = None) -> PaddedNeighbors:
        """Table of some of the edges.

        :param edges: (n_kept,), ascending; their centres must be among those kept
        :param centres: (n_kept_centres,), ascending; None: all
        """
        slots = self.slots[edges]
        centre = slots // self.n_neighbors
        centre_species, charge_and_spin = self.centre_species, self.charge_and_spin
        if centres is not None:
            centre = inverse_index(centres, self.n_centres)[centre]
            centre_species = centre_species[centres]
            charge_and_spin = None if charge_and_spin is None else charge_and_spin[centres]
        n_centres = len(centre_species)
        counts = torch.bincount(centre, minlength=n_centres)
        width = max(int(counts.max()) if len(counts) else 0, 1)
        first = torch.cumsum(counts, 0) - counts
        new = centre * width + torch.arange(len(centre), device=slots.device) - first[centre]
        neighbor_species = self.neighbor_species.new_zeros(n_centres * width)
        neighbor_species[new] = self.neighbor_species.view(-1)[slots]
        valid = self.valid.new_zeros(n_centres * width)
        valid[new] = True
        return PaddedNeighbors(
            n_centres,
            width,
            new,
            centre_species,
            neighbor_species.view(n_centres, width),
            valid.view(n_centres, width),
            charge_and_spin,
        )


def inverse_index(kept: Tensor, count: int) -> Tensor:
    """Index of each of ``count`` elements among those kept, (count,); -1 for the others."""
    inverse = torch.full((count,), -1, device=kept.device)
    inverse[kept] = torch.arange(len(kept), device=kept.device)
    return inverse
