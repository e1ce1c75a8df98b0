"""Graph: atoms and edges of structures, or of one rank's share of a structure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..model import NetworkInput
from .collective import Collective, SingleProcess
from .edge_exchange import EdgeExchange, LocalExchange
from .neighbor_list import Edges
from .padded import PaddedNeighbors


@dataclass(frozen=True)
class Graph:
    """Atoms, directed edges, and where the reversed edge of each edge is held. Immutable.

    The centres are the atoms that are evaluated: first those that this process owns, then ghosts,
    of which only the messages are used.

    padded: species and the padded table of the edges; vectors: (n_edges, 3), from centre to
    neighbor, angstrom, float64; edge_centre: (n_edges,), ascending; exchange: which edge is the
    reverse of which; structure: (n_centres,), index of the structure of each centre; sizes: number
    of centres of each structure; n_owned: number of centres whose energies are wanted; cutoffs:
    (n_edges,), cutoff of each edge, angstrom, None: that of the model; atom_names: (n_owned,), what
    messages call the atoms, None: their index; listed: (n_edges,), index of each edge in the list
    of an engine, None: no such list; collective: of the processes that share the structure.
    """

    padded: PaddedNeighbors
    vectors: Tensor
    edge_centre: Tensor
    exchange: EdgeExchange
    structure: Tensor
    sizes: tuple[int, ...]
    n_owned: int
    cutoffs: Tensor | None = None
    atom_names: NDArray[np.int64] | None = None
    listed: NDArray[np.int64] | None = None
    collective: Collective = field(default_factory=SingleProcess)

    @classmethod
    def of_one_structure(
        cls,
        padded: PaddedNeighbors,
        vectors: Tensor,
        edge_centre: Tensor,
        exchange: EdgeExchange,
        n_owned: int,
    ) -> Graph:
        """Graph whose centres all belong to one structure; parameters as of the class."""
        structure = torch.zeros(padded.n_centres, dtype=torch.long, device=vectors.device)
        return cls(padded, vectors, edge_centre, exchange, structure, (padded.n_centres,), n_owned)

    @property
    def n_centres(self) -> int:
        """Number of atoms that are evaluated, ghosts included."""
        return self.padded.n_centres

    @property
    def owned_species(self) -> Tensor:
        """Species index of each of this process's own atoms, (n_owned,)."""
        return self.padded.centre_species[: self.n_owned]

    def with_vectors(self, vectors: Tensor) -> Graph:
        """Graph with other edge vectors, (n_edges, 3), angstrom, of the same edges."""
        return dataclasses.replace(self, vectors=vectors)

    def network_input(self) -> NetworkInput:
        """Tensors that the network takes."""
        padded = self.padded
        return NetworkInput(
            padded.centre_species,
            padded.neighbor_species,
            padded.pad(self.vectors),
            padded.valid,
            None if self.cutoffs is None else padded.pad(self.cutoffs[:, None]).squeeze(-1),
            padded.charge_and_spin,
        )

    def sums(self, values: Tensor) -> Tensor:
        """Sums over the atoms of each structure, (n_structures, ...).

        :param values: (n_atoms, ...)
        """
        totals = values.new_zeros(len(self.sizes), *values.shape[1:])
        return totals.index_add_(0, self.structure, values)

    def frame_vectors(self, cutoff: float) -> Tensor:
        """Vectors from which frames are built, (n_centres, n_neighbors, 3), angstrom, padded.

        Edges with cutoffs of their own are scaled by ``cutoff / cutoff of the edge``. So frames
        depend on those neighbors only that the network uses, and the weights of frames vanish
        smoothly at the cutoff of each edge.

        :param cutoff: of the model, angstrom
        """
        vectors = self.vectors
        if self.cutoffs is not None:
            vectors = vectors * (cutoff / self.cutoffs)[:, None]
        return self.padded.pad(vectors)


def graph_of_edges(
    species_indices: Sequence[NDArray[np.int64]],
    edges: Sequence[Edges],
    device: torch.device,
    charge_and_spin: Tensor | None = None,
) -> Graph:
    """Make the graph of whole structures, one after another.

    :param species_indices: for each structure (n_atoms,), species index of each atom
    :param edges: of each structure
    :param device: of the graph
    :param charge_and_spin: (n_structures, 2), None: the model depends on neither
    """
    sizes = [len(of_structure) for of_structure in species_indices]
    none = np.zeros(0, dtype=np.int64)
    species = np.concatenate(species_indices) if sizes else none

    def joined(arrays: list[NDArray[np.int64]], counts: list[int]) -> NDArray[np.int64]:
        offsets = np.cumsum([0, *counts])
        shifted = [a + o for a, o in zip(arrays, offsets[:-1], strict=True)]
        return np.concatenate(shifted) if shifted else none

    centre = joined([e.centre for e in edges], sizes)
    neighbor = joined([e.neighbor for e in edges], sizes)
    reverse = joined([e.reverse for e in edges], [len(e.centre) for e in edges])
    vectors = np.concatenate([e.vectors for e in edges]) if edges else np.zeros((0, 3))
    padded = PaddedNeighbors.from_edges(centre, species, species[neighbor], device)
    structure = torch.as_tensor(np.repeat(np.arange(len(sizes)), sizes), device=device)
    if charge_and_spin is not None:
        padded = dataclasses.replace(padded, charge_and_spin=charge_and_spin[structure])
    return Graph(
        padded,
        torch.as_tensor(vectors, device=device),
        torch.as_tensor(centre, device=device),
        LocalExchange(torch.as_tensor(reverse, device=device)),
        structure,
        tuple(sizes),
        len(species),
    )
