"""Inputs of the network: padded neighborhoods, and how messages reach the next layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

# Maps (n_centres, n_neighbors, width) messages on edges i-j to those on the reversed edges j-i.
MessageExchange = Callable[[Tensor], Tensor]


@dataclass
class NetworkInput:
    """Padded neighbor displacements of a set of centres.

    centre_species: (n_centres,) and neighbor_species: (n_centres, n_neighbors), indices into the
    species of the model; vectors: (n_centres, n_neighbors, 3), from centre to neighbor, angstrom,
    float64; valid: (n_centres, n_neighbors), False for padding; cutoffs: (n_centres, n_neighbors),
    angstrom, float64, cutoff of each edge, the same in both directions; None: that of the model;
    charge_and_spin: (n_centres, 2), charge and spin multiplicity of the structure of each centre,
    for models that need them.
    """

    centre_species: Tensor
    neighbor_species: Tensor
    vectors: Tensor
    valid: Tensor
    cutoffs: Tensor | None = None
    charge_and_spin: Tensor | None = None


@dataclass
class LayerMap:
    """From one layer to the next, where the next evaluates only some of the centres.

    keep: (n_kept,), indices of these centres; exchange: maps the outgoing messages of all centres
    to those on the reversed edges of the kept ones.
    """

    keep: Tensor
    exchange: MessageExchange
