"""Repulsion of nuclei at short distances, for models that add it to their network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..graph import Graph
from ..model import Hyperparameters, zbl_energies


@dataclass(frozen=True)
class Repulsion:
    """The repulsion of nuclei that a model adds.

    radii: (n_species,), angstrom; numbers: (n_species,), atomic numbers.
    """

    radii: Tensor
    numbers: Tensor

    @classmethod
    def of(cls, hyper: Hyperparameters, device: torch.device) -> Repulsion | None:
        """The repulsion of a model; None if it has none."""
        if not hyper.foreign.zbl_radii:
            return None
        radii = torch.tensor(hyper.foreign.zbl_radii, dtype=torch.float64, device=device)
        return cls(radii, torch.tensor(hyper.species, device=device))

    def energies(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Energies by Ziegler, Biersack and Littmark, half of each pair on each of its atoms.

        :param graph: with all edges within `Hyperparameters.neighbor_cutoff`
        :return: energies of this process's own atoms, (n_owned,), eV, and the gradient of their sum
            with respect to the edge vectors, (n_edges, 3), eV/angstrom; float64
        """
        vectors = graph.vectors.detach().requires_grad_(True)
        with torch.enable_grad():
            energies = self._of_centres(graph.with_vectors(vectors))[: graph.n_owned]
            (gradient,) = torch.autograd.grad(energies.sum(), vectors, materialize_grads=True)
        return energies.detach(), gradient

    def _of_centres(self, graph: Graph) -> Tensor:
        """Energies of all centres, (n_centres,), eV; a differentiable function of the vectors."""
        padded, centre = graph.padded, graph.edge_centre
        one = padded.centre_species.index_select(0, centre)
        two = padded.flatten(padded.neighbor_species[..., None]).squeeze(-1)
        ends = self.radii.index_select(0, one) + self.radii.index_select(0, two)
        lengths = torch.linalg.vector_norm(graph.vectors, dim=1)
        close = lengths.detach() < ends
        if padded.full:  # the host must not wait: pairs that are apart count as such at their ends
            lengths = torch.where(close & padded.valid.view(-1), lengths, ends)
        else:
            close = torch.nonzero(close).view(-1)
            one, two, centre = one[close], two[close], centre[close]
            lengths, ends = lengths[close], ends[close]
        numbers = (self.numbers.index_select(0, one), self.numbers.index_select(0, two))
        pairs = zbl_energies(lengths, numbers, ends)
        total: Tensor = lengths.new_zeros(graph.n_centres).index_add(0, centre, pairs)
        return total
