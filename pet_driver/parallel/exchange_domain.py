"""Domain with ghosts one cutoff deep, whose ranks exchange messages along edges to ghosts."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import PetDriverError
from ..graph import Graph, PaddedNeighbors, ReverseEdgeExchange, check_distances
from .base import Domain, pairs_within
from .edge_pairing import ROUNDING, SAME_DISPLACEMENT, EdgePairing
from .halo_exchange import HaloExchange
from .rank_group import RankGroup
from .resident_domain import ResidentDomain

if TYPE_CHECKING:
    pass


class ExchangeDomain(Domain):
    """One rank's local atoms as centres, whose edges are paired with those of other ranks.

    :param comm, cutoff, skin, device: as in `Domain`

    pairing: edges and their reversed edges, as last listed.
    """

    pairing: EdgePairing

    def resident(self, charge_and_spin: torch.Tensor | None = None) -> ResidentDomain:
        """Empty edges on the device for the local atoms of this rank.

        :param charge_and_spin: (1, 2), None: the model depends on neither
        """
        atoms = (self._species, self.n_local)
        return ResidentDomain(self, *atoms, self.cutoff, self.device, charge_and_spin)

    def has_atoms_of(self, resident: ResidentDomain) -> bool:
        """Whether edges on the device are those of the present local atoms. Collective.

        :param resident: made by this domain
        """
        same = resident.fits(self._species, self.n_local)
        return not self.largest(int(not same))

    def update_resident(self, resident: ResidentDomain) -> bool:
        """Let edges on the device follow the edges and positions of this domain.

        :return: see `ResidentDomain.update`
        """
        resident.place(self._positions)
        if resident.rebuild == self.rebuilds:
            return False
        with self.agreement():
            grown = resident.update(self.pairing, self._ids, self._species)
        resident.rebuild = self.rebuilds
        return grown

    def self_test(self, graph: Graph) -> str:
        """Exchange species and displacement of each edge, which both of its ranks know. Collective.

        :return: numbers of edges compared, in words
        :raises PetDriverError: on every rank, if they differ
        """
        with self.evaluation():
            compare_reversed_edges(graph, self.cutoff)
        edges, cross = self.total(np.array([len(graph.edge_centre), len(self.pairing.send)]))
        return f"{edges:.0f} edges, {cross:.0f} of them between ranks, equal at both ends"

    def _rebuild(self, positions: NDArray[np.float64]) -> float:
        listed = self.cutoff + self.skin
        with self.agreement():
            near = self._near_local(positions, listed)
            i, j = pairs_within(positions[near], listed)
        mine = i < self.n_local
        i, j = near[i[mine]], near[j[mine]]
        vectors = positions[j] - positions[i]
        self.pairing = EdgePairing.build(
            self.comm, self._ids, self.n_local, (i, j), vectors, self.cutoff, self.skin
        )
        return self.pairing.skin

    def _near_local(self, positions: NDArray[np.float64], distance: float) -> NDArray[np.int64]:
        """Indices of the local atoms, and of the ghosts in the box around them.

        An engine lists more ghosts, as it has a skin of its own.

        :param distance: angstrom, from the outermost local atoms to the faces of the box
        """
        if not self.n_local:
            return np.zeros(0, dtype=np.int64)
        local = positions[: self.n_local]
        low, high = local.min(axis=0) - distance, local.max(axis=0) + distance
        inside = (positions > low) & (positions < high)
        inside[: self.n_local] = True
        return np.nonzero(inside.all(axis=1))[0]

    def _graph(self, positions: NDArray[np.float64]) -> Graph:
        pairing = self.pairing
        vectors = positions[pairing.neighbor] - positions[pairing.centre]
        lengths = np.linalg.norm(vectors, axis=1)
        near = lengths < self.cutoff
        if self.comm.size == 1:
            # By rounding, the two directions of an edge at the cutoff may differ in length.
            near &= near[pairing.reverse]
        active = np.nonzero(near)[0]
        centre, neighbor = pairing.centre[active], pairing.neighbor[active]
        check_distances(lengths[active], self._ids[centre], self._ids[neighbor])
        tensor = torch.as_tensor(vectors[active], device=self.device)
        return exchange_graph(
            self, pairing, active, tensor, (self._ids, self._species, self.n_local)
        )


def exchange_graph(
    ranks: RankGroup,
    pairing: EdgePairing,
    active: NDArray[np.int64],
    vectors: torch.Tensor,
    atoms: tuple[NDArray[np.int64], NDArray[np.int64], int],
) -> Graph:
    """Graph of one rank whose reversed edges may be held by others.

    :param ranks: that share the structure
    :param pairing: of the listed edges
    :param active: (n_edges,), indices of the paired edges that are within the cutoff
    :param vectors: (n_edges, 3), angstrom, on the device of the graph
    :param atoms: ids (n_local + n_ghosts,), species indices (likewise), and n_local
    """
    ids, species, n_local = atoms
    device = vectors.device
    centre, neighbor = pairing.centre[active], pairing.neighbor[active]
    graph = Graph.of_one_structure(
        PaddedNeighbors.from_edges(centre, species[:n_local], species[neighbor], device),
        vectors,
        torch.as_tensor(centre, device=device),
        HaloExchange.of(pairing, active, ranks.transport, device),
        n_local,
    )
    return dataclasses.replace(graph, atom_names=ids[:n_local], collective=ranks)


def compare_reversed_edges(graph: Graph, cutoff: float) -> None:
    """Exchange species and displacements in the way of messages, and compare them. Collective.

    :param cutoff: angstrom; at it, by rounding, an edge may be there at one of its ends only
    :raises PetDriverError: if they are not those of the reversed edges
    """
    exchange = graph.exchange
    if not isinstance(exchange, ReverseEdgeExchange):
        raise TypeError(f"{type(exchange).__name__} exchanges nothing")
    padded = graph.padded
    centre = padded.centre_species[graph.edge_centre][:, None].to(torch.float64)
    neighbor = padded.flatten(padded.neighbor_species[..., None]).to(torch.float64)
    there = torch.ones_like(centre)
    here = torch.cat([centre, neighbor, graph.vectors, there], dim=1)
    expected = torch.cat([neighbor, centre, -graph.vectors], dim=1).cpu().numpy()
    received = exchange.reversed_values(here).cpu().numpy()
    at_cutoff = np.linalg.norm(expected[:, 2:], axis=1) > cutoff - ROUNDING
    compared = (received[:, -1] > 0.5) | ~at_cutoff
    expected, found = expected[compared], received[compared, :-1]
    if (found[:, :2] != expected[:, :2]).any():
        raise PetDriverError(
            "ranks disagree on the elements of the ends of an edge; the exchange of this MPI "
            "library is broken, try another or run on one rank"
        )
    apart = np.abs(found[:, 2:] - expected[:, 2:]).max(initial=0.0)
    if apart > SAME_DISPLACEMENT:
        raise PetDriverError(
            f"ranks disagree by {apart:.2g} angstrom on the length of an edge; the exchange of "
            "this MPI library is broken, try another or run on one rank"
        )
