"""The repulsion of nuclei at close quarters, for models that have it beside their network."""

from __future__ import annotations

import torch
from torch import Tensor

from ..graph import PaddedNeighbors
from ..model import Hyperparameters, zbl_energies


def repulsion(hyper: Hyperparameters, environments: PaddedNeighbors, vectors: Tensor) -> Tensor:
    """(n_centres,), eV: energies by Ziegler, Biersack and Littmark, half of each pair to either
    atom; a differentiable function of the edge vectors.

    :param vectors: (n_edges, 3), angstrom, float64
    """
    device = vectors.device
    radii = torch.tensor(hyper.zbl_radii, dtype=vectors.dtype, device=device)
    numbers = torch.tensor(hyper.species, device=device)
    centre = environments.centre
    one = environments.centre_species[centre]
    two = environments.neighbor_species.view(-1)[environments.slots]
    ends = radii[one] + radii[two]
    lengths = torch.linalg.vector_norm(vectors, dim=1)
    close = torch.nonzero(lengths.detach() < ends).view(-1)
    pairs = zbl_energies(lengths[close], (numbers[one[close]], numbers[two[close]]), ends[close])
    return vectors.new_zeros(environments.n_centres).index_add(0, centre[close], pairs)
