"""Inputs of the network: padded neighborhoods, and how messages reach the next layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

# Maps (n_centres, n_neighbors, width) messages on edges i-j to those on the reversed edges j-i.
MessageExchange = Callable[[Tensor], Tensor]


class EarlyExchange(ABC):
    """A `MessageExchange` that can begin when the messages of some of the centres are there.

    first: (n_first,), indices of these centres.
    """

    first: Tensor

    @abstractmethod
    def __call__(self, messages: Tensor) -> Tensor:
        """Begin and finish at once."""

    @abstractmethod
    def begin(self, messages: Tensor, centres: Tensor) -> BegunExchange:
        """Send what other processes need; their centres' evaluation may go on meanwhile.

        :param messages: (n_first, n_neighbors, width)
        :param centres: (n_first,), index of the centre of each row: those of ``first`` in any order
        """


class BegunExchange(ABC):
    """An exchange that has begun."""

    @abstractmethod
    def advance(self) -> None:
        """Let messages that are under way go on."""

    @abstractmethod
    def finish(self, messages: Tensor) -> Tensor:
        """Messages on the reversed edges, (n_centres, n_neighbors, width), from those of all."""


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
