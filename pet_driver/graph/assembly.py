"""Forces and virials of atoms, from the gradient with respect to edge vectors."""

from __future__ import annotations

import torch
from torch import Tensor

from .edge_exchange import BothEndsExchange, ReverseEdgeExchange
from .graph import Graph


def forces_and_virials(graph: Graph, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Assemble forces and virials of this process's own atoms.

    ``F_i = sum_j (dE/dr_ij - dE/dr_ji)`` with ``r_ij = r_j - r_i``. Each edge gives half of its
    virial ``-r_ij (x) dE/dr_ij`` to each of its two atoms, symmetrized: for plain PET the
    antisymmetric part is the spurious torque on the box; for an exact model it vanishes in the sum
    over all atoms.

    :param gradient: (n_edges, 3), eV/angstrom, of the sum of the energies of all processes
    :return: forces (n_owned, 3), eV/angstrom, and virials (n_owned, 3, 3), eV
    """
    exchange = graph.exchange
    if isinstance(exchange, BothEndsExchange):
        return _scattered_to_both_ends(graph, exchange, gradient)
    if isinstance(exchange, ReverseEdgeExchange):
        return _gathered_from_reversed_edges(graph, exchange, gradient)
    raise TypeError(f"no forces can be assembled with a {type(exchange).__name__}")


def symmetrized(tensors: Tensor) -> Tensor:
    """Mean of each tensor, (..., 3, 3), and its transpose."""
    return 0.5 * (tensors + tensors.transpose(-1, -2))


def _gathered_from_reversed_edges(
    graph: Graph, exchange: ReverseEdgeExchange, gradient: Tensor
) -> tuple[Tensor, Tensor]:
    difference = gradient - exchange.exchanged(gradient)
    # r_ji = -r_ij: the half of the reversed edge needs nothing but its gradient.
    twice = graph.vectors.detach()[:, :, None] * difference[:, None, :]
    atoms = graph.padded.sums(torch.cat([difference, twice.flatten(1)], dim=1))[: graph.n_owned]
    tensors = atoms[:, 3:].reshape(-1, 3, 3)
    return atoms[:, :3], -0.25 * (tensors + tensors.transpose(1, 2))


def _scattered_to_both_ends(
    graph: Graph, exchange: BothEndsExchange, gradient: Tensor
) -> tuple[Tensor, Tensor]:
    vectors = graph.vectors.detach()
    halves = symmetrized(-0.5 * vectors[:, :, None] * gradient[:, None, :]).flatten(1)
    atoms = gradient.new_zeros(exchange.n_atoms, 12)
    atoms = atoms.index_add(0, exchange.centre, torch.cat([gradient, halves], dim=1))
    atoms = atoms.index_add(0, exchange.neighbor, torch.cat([-gradient, halves], dim=1))
    owned = exchange.to_owned(atoms, graph.n_owned)
    return owned[:, :3], owned[:, 3:].reshape(-1, 3, 3)
