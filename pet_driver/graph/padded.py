"""Neighbors of many centres as padded tensors: what the network takes, made from edges of one or
more structures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..model import NetworkInput
from .neighbor_list import Edges, find_edges
from .system import System, species_indices


@dataclass
class PaddedNeighbors:
    """Padded slots of the edges of ``n_centres`` centres.

    slots: (n_edges,) position of each edge in the flattened (n_centres, n_neighbors) table; edges
    are sorted by centre. charge_and_spin: (n_centres, 2), of the structure of each centre; None:
    not said.
    """

    n_centres: int
    n_neighbors: int
    slots: Tensor
    centre_species: Tensor
    neighbor_species: Tensor
    valid: Tensor
    charge_and_spin: Tensor | None = None

    @classmethod
    def from_edges(
        cls,
        centre: np.ndarray,
        centre_species: np.ndarray,
        edge_species: np.ndarray,
        device: torch.device,
    ) -> PaddedNeighbors:
        """
        :param centre: (n_edges,), centre of each edge, ascending
        :param centre_species: (n_centres,), index of the species of each centre
        :param edge_species: (n_edges,), index of the species of the neighbor of each edge
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

    def pad(self, edges: Tensor) -> Tensor:
        """(n_edges, k) values to (n_centres, n_neighbors, k), zero where there is no edge."""
        table = edges.new_zeros(self.n_centres * self.n_neighbors, edges.shape[-1])
        return table.index_copy(0, self.slots, edges).view(
            self.n_centres, self.n_neighbors, edges.shape[-1]
        )

    def flatten(self, table: Tensor) -> Tensor:
        """(n_centres, n_neighbors, k) values to (n_edges, k)."""
        flat = table.reshape(self.n_centres * self.n_neighbors, table.shape[-1])
        return flat.index_select(0, self.slots)

    def neighborhoods(self, vectors: Tensor, cutoffs: Tensor | None = None) -> NetworkInput:
        """
        :param vectors: (n_edges, 3), from each centre to its neighbor, angstrom, float64
        :param cutoffs: (n_edges,), of each edge, angstrom, float64; None: that of the model
        """
        return NetworkInput(
            self.centre_species,
            self.neighbor_species,
            self.pad(vectors),
            self.valid,
            None if cutoffs is None else self.pad(cutoffs[:, None]).squeeze(-1),
            self.charge_and_spin,
        )

    @property
    def centre(self) -> Tensor:
        """(n_edges,), the centre of each edge."""
        return self.slots // self.n_neighbors

    def restricted(self, edges: Tensor, centres: Tensor | None = None) -> PaddedNeighbors:
        """The environments with some of the edges.

        :param edges: (n_kept,), ascending; their centres must be among those kept
        :param centres: (n_kept_centres,), ascending; None: all
        """
        slots = self.slots[edges]
        centre = slots // self.n_neighbors
        kinds, charge_and_spin = self.centre_species, self.charge_and_spin
        if centres is not None:
            place = torch.full((self.n_centres,), -1, device=slots.device)
            place[centres] = torch.arange(len(centres), device=slots.device)
            centre, kinds = place[centre], kinds[centres]
            charge_and_spin = None if charge_and_spin is None else charge_and_spin[centres]
        counts = torch.bincount(centre, minlength=len(kinds))
        width = max(int(counts.max()) if len(counts) else 0, 1)
        first = torch.cumsum(counts, 0) - counts
        new = centre * width + torch.arange(len(centre), device=slots.device) - first[centre]
        neighbor_species = self.neighbor_species.new_zeros(len(kinds) * width)
        neighbor_species[new] = self.neighbor_species.view(-1)[slots]
        valid = self.valid.new_zeros(len(kinds) * width)
        valid[new] = True
        return PaddedNeighbors(
            len(kinds),
            width,
            new,
            kinds,
            neighbor_species.view(len(kinds), width),
            valid.view(len(kinds), width),
            charge_and_spin,
        )


@dataclass
class Batch:
    """PaddedNeighbors of all atoms of several structures, and their edges one after another.

    edge_centre, edge_neighbor, reverse: (n_edges,), counted through the whole batch; vectors:
    (n_edges, 3), angstrom, float64; structure: (n_atoms,), index of the structure of each atom.
    """

    environments: PaddedNeighbors
    vectors: Tensor
    edge_centre: Tensor
    reverse: Tensor
    structure: Tensor
    sizes: list[int]

    @classmethod
    def from_systems(
        cls, systems: list[System], cutoff: float, species: tuple[int, ...], device: torch.device
    ) -> Batch:
        """
        :param cutoff: angstrom
        :param species: atomic numbers that the model knows
        :raises PetDriverError: for unknown elements and impossible geometries, see `find_edges`
        """
        kinds = [species_indices(system.numbers, species) for system in systems]
        return cls.from_edges(kinds, [find_edges(system, cutoff) for system in systems], device)

    @classmethod
    def from_edges(cls, kinds: list[np.ndarray], edges: list[Edges], device: torch.device) -> Batch:
        """
        :param kinds: for each structure (n_atoms,), index of the species of each atom
        :param edges: of each structure
        """
        sizes = [len(of_structure) for of_structure in kinds]
        atom_offsets = np.cumsum([0, *sizes])
        edge_offsets = np.cumsum([0, *(len(e.centre) for e in edges)])
        all_kinds = np.concatenate(kinds) if kinds else np.zeros(0, dtype=np.int64)

        def joined(arrays: list[np.ndarray], offsets: np.ndarray) -> np.ndarray:
            shifted = [a + o for a, o in zip(arrays, offsets[:-1], strict=True)]
            return np.concatenate(shifted) if shifted else np.zeros(0, dtype=np.int64)

        centre = joined([e.centre for e in edges], atom_offsets)
        neighbor = joined([e.neighbor for e in edges], atom_offsets)
        reverse = joined([e.reverse for e in edges], edge_offsets)
        vectors = np.concatenate([e.vectors for e in edges]) if edges else np.zeros((0, 3))
        return cls(
            PaddedNeighbors.from_edges(centre, all_kinds, all_kinds[neighbor], device),
            torch.as_tensor(vectors, device=device),
            torch.as_tensor(centre, device=device),
            torch.as_tensor(reverse, device=device),
            torch.as_tensor(np.repeat(np.arange(len(sizes)), sizes), device=device),
            sizes,
        )
