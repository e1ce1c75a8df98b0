"""Edges of one rank that stay on its device as long as they are complete."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..graph import (
    EdgeBuffers,
    Graph,
    NeighborTable,
    ResidentGraphs,
    TableExchange,
    with_zero_row,
)
from ..runtime.table_sizes import TableSizes
from .edge_pairing import EdgePairing
from .rank_group import RankGroup
from .transport import Transport


class RankTableExchange(TableExchange):
    """Exchange of a table of one rank with those of others.

    As of `HaloExchange`, all listed edges between two ranks take part, those that are in no slot
    with zeros, so that the number of values is known beforehand.

    :param reverse: (n_slots,), slot of the reversed edge, n_slots where another rank holds it
    :param send: (n_remote,), slots whose values are sent, sorted by rank; n_slots: a zero
    :param receive: (n_remote,), slots that receive values; n_slots: none does
    :param counts: (n_ranks,), number of values exchanged with each rank
    """

    def __init__(
        self,
        reverse: Tensor,
        send: Tensor,
        receive: Tensor,
        counts: NDArray[np.int64],
        transport: Transport,
    ) -> None:
        super().__init__(reverse)
        self.send, self.receive = send, receive
        self.counts, self.transport = counts, transport

    def reversed_values(self, edges: Tensor) -> Tensor:
        """Values (n_slots, k) of the reversed edges. Collective."""
        padded = with_zero_row(edges.detach())
        outgoing = padded.index_select(0, self.send)
        received = self.transport.exchange(outgoing, self.counts, self.counts)
        here = with_zero_row(padded.index_select(0, self.reverse))
        return here.index_copy_(0, self.receive, received)[:-1]

    def narrowed(self, table: NeighborTable) -> TableExchange:
        """Exchange of another table, laid out from this one."""
        none = table.slots.new_full((1,), len(table.source))
        slots = torch.cat([table.slots, none])
        send, receive = slots.index_select(0, self.send), slots.index_select(0, self.receive)
        return RankTableExchange(table.reverse, send, receive, self.counts, self.transport)


class ResidentDomain(ResidentGraphs):
    """The paired edges of an `ExchangeDomain` on its device; a step uploads positions only.

    :param ranks: that share the structure
    :param species: (n_local + n_ghosts,), species indices
    :param n_local: number of atoms that this rank owns
    :param cutoff: angstrom
    :param charge_and_spin: (1, 2), None: the model depends on neither

    rebuild: of the domain, number of the one whose edges lie on the device; -1: none.
    """

    rebuild = -1

    def __init__(
        self,
        ranks: RankGroup,
        species: NDArray[np.int64],
        n_local: int,
        cutoff: float,
        device: torch.device,
        charge_and_spin: Tensor | None = None,
    ) -> None:
        self.sizes, self.collective = (n_local,), ranks
        self.local = self.local and ranks.comm.size == 1
        self._ranks = ranks
        self._numbers = species[:n_local]
        numbers = torch.as_tensor(self._numbers, device=device)
        self._edges = EdgeBuffers(numbers, self.sizes, cutoff)
        self._charge_and_spin = charge_and_spin
        self._count = 0
        self._of_pairs = torch.zeros(0, 3, dtype=torch.float64, device=device)

    def fits(self, species: NDArray[np.int64], n_local: int) -> bool:
        """Whether it is for these local atoms, in this order."""
        return np.array_equal(self._numbers, species[:n_local])

    def update(
        self, pairing: EdgePairing, ids: NDArray[np.int64], species: NDArray[np.int64]
    ) -> bool:
        """Take up the edges of a new pairing.

        :param ids, species: (n_local + n_ghosts,)
        :return: whether memory was allocated anew, so that kernels recorded before read the old one
        """
        device = self._edges.species.device
        self._ids, self._count = ids[: self.sizes[0]], len(pairing.centre)
        self._pairing = pairing
        self._send = torch.as_tensor(pairing.send, device=device)
        self._receive = torch.as_tensor(pairing.receive, device=device)
        grown = not self._edges.has_room([self._count])
        if grown:
            self._edges.allocate([self._count])
        edges = (pairing.centre, pairing.neighbor, pairing.reverse)
        self._edges.store(0, *edges, species[pairing.neighbor])
        return grown

    def place(self, positions: NDArray[np.float64]) -> None:
        """Take up positions, (n_local + n_ghosts, 3), angstrom."""
        self._positions = positions

    @property
    def mean_neighbors(self) -> float:
        """Number of listed neighbors of an atom, on average."""
        return self._count / max(self.sizes[0], 1)

    def inputs(self) -> NDArray[np.float64]:
        """Positions of local atoms and ghosts, (n_local + n_ghosts, 3), angstrom."""
        return self._positions

    def graph(self, inputs: Tensor, sizes: TableSizes) -> Graph:
        """Graph of all edges within the cutoff, see `ResidentGraphs.graph`."""
        edges = self._edges
        vectors = self._vectors(inputs)
        table = self._table = edges.table(vectors, sizes)
        given = self._charge_and_spin
        padded = edges.padded(table, None if given is None else given.expand(self.sizes[0], 2))
        exchange = TableExchange(table.reverse)
        if not self.local:
            send = table.slots.index_select(0, self._send)
            receive = table.slots.index_select(0, self._receive)
            exchange = RankTableExchange(
                table.reverse, send, receive, self._pairing.counts, self._ranks.transport
            )
        graph = Graph.of_one_structure(
            padded, table.laid_out(vectors), padded.centre, exchange, self.sizes[0]
        )
        return dataclasses.replace(graph, atom_names=self._ids, collective=self._ranks)

    def _vectors(self, inputs: Tensor) -> Tensor:
        """From centre to neighbor of each edge, (room, 3), angstrom."""
        return self._edges.differences(inputs)


class ResidentRankPairs(ResidentDomain):
    """The pairs of a `PairDomain` on its device, paired on the host in every step.

    Parameters as of `ResidentDomain`.
    """

    local = False

    def place_vectors(self, vectors: Tensor) -> None:
        """Take up the vectors of the pairs of the last `update`, (n_edges, 3), angstrom."""
        room = self._edges.room
        if len(self._of_pairs) != room:
            self._of_pairs = vectors.new_zeros(room, 3)
        self._of_pairs[: len(vectors)].copy_(vectors)

    def inputs(self) -> NDArray[np.float64]:
        """Nothing: vectors are on the device."""
        return np.zeros((0, 3))

    def edge_gradients(self, gradient: Tensor) -> Tensor:
        """Gradients with respect to the vectors of the pairs, see `ResidentGraphs`."""
        return with_zero_row(gradient).index_select(0, self._table.slots[: self._count])

    def _vectors(self, inputs: Tensor) -> Tensor:  # noqa: ARG002 (there are none)
        return self._of_pairs
