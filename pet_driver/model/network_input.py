"""What the network takes: padded neighborhoods, and how messages get from one layer to the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

MessageExchange = Callable[[Tensor], Tensor]


@dataclass
class NetworkInput:
    """Padded neighbor displacements of a set of centres.

    centre_species (n_centres,) and neighbor_species (n_centres, n_neighbors) are indices into the
    species of the model; vectors (n_centres, n_neighbors, 3) in angstrom, in float64; valid
    (n_centres, n_neighbors) is False for padding; cutoffs (n_centres, n_neighbors), angstrom,
    float64: of each edge, the same at both ends; None: that of the model; charge_and_spin
    (n_centres, 2): of the structure, for models that take them.
    """

    centre_species: Tensor
    neighbor_species: Tensor
    vectors: Tensor
    valid: Tensor
    cutoffs: Tensor | None = None
    charge_and_spin: Tensor | None = None


@dataclass
class LayerMap:
    """From one layer to the next, where only some centres go on.

    keep: (n_kept,), indices of these centres; exchange: maps the outgoing messages of all centres
    to those on the reversed edges of the kept ones.
    """

    keep: Tensor
    exchange: MessageExchange
