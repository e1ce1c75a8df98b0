"""Repulsion of nuclei at short distances, for models that add it to their network."""

from __future__ import annotations

import torch
from torch import Tensor

from ..graph import Graph
from ..model import Hyperparameters, zbl_energies


def zbl_energy(hyper: Hyperparameters, graph: Graph) -> tuple[Tensor, Tensor]:
    """Energies by Ziegler, Biersack and Littmark, half of each pair on each of its atoms.

    :param graph: with all edges within ``hyper.neighbor_cutoff``
    :return: energies of this process's own atoms, (n_owned,), eV, and the gradient of their sum
        with respect to the edge vectors, (n_edges, 3), eV/angstrom; float64
    """
    vectors = graph.vectors.detach().requires_grad_(True)
    with torch.enable_grad():
        energies = _energies(hyper, graph.with_vectors(vectors))[: graph.n_owned]
        (gradient,) = torch.autograd.grad(energies.sum(), vectors, materialize_grads=True)
    return energies.detach(), gradient


def _energies(hyper: Hyperparameters, graph: Graph) -> Tensor:
    """Energies of all centres, (n_centres,), eV; a differentiable function of the edge vectors."""
    vectors, padded, centre = graph.vectors, graph.padded, graph.edge_centre
    radii = torch.tensor(hyper.foreign.zbl_radii, dtype=vectors.dtype, device=vectors.device)
    numbers = torch.tensor(hyper.species, device=vectors.device)
    one = padded.centre_species[centre]
    two = padded.neighbor_species.view(-1)[padded.slots]
    ends = radii[one] + radii[two]
    lengths = torch.linalg.vector_norm(vectors, dim=1)
    close = torch.nonzero(lengths.detach() < ends).view(-1)
    pairs = zbl_energies(lengths[close], (numbers[one[close]], numbers[two[close]]), ends[close])
    return vectors.new_zeros(graph.n_centres).index_add(0, centre[close], pairs)
