"""One rank's share of a structure: its local atoms are its centres, ghosts reach one cutoff deep,
and what crosses the boundary is swapped with the ranks around.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..errors import PetDriverError
from ..graph import PaddedNeighbors, check_distances
from ..graph.edge_exchange import ReverseEdgeExchange
from .base import Domain, pairs_within
from .edge_pairing import SAME_DISPLACEMENT, EdgePairing

if TYPE_CHECKING:
    from mpi4py import MPI


class ExchangeDomain(Domain, ReverseEdgeExchange):
    """The local atoms of one rank, and the plan that pairs their edges to ghosts with the reversed
    edges on the ranks that own them.

    :param comm, cutoff, skin: as in `Domain`
    """

    def __init__(self, comm: MPI.Comm, cutoff: float, skin: float = 0.5) -> None:
        super().__init__(comm, cutoff, skin)
        self.plan: EdgePairing | None = None

    @property
    def n_centres(self) -> int:
        return self.n_local

    def environments(self, device: torch.device) -> tuple[PaddedNeighbors, Tensor, Tensor]:
        plan, active = self.plan, self._active
        centre, neighbor = plan.centre[active], plan.neighbor[active]
        check_distances(self._lengths, self._ids[centre], self._ids[neighbor])
        self._send, self._kept, self._receive, self._reverse = (
            torch.as_tensor(x, device=device) for x in self._swap_indices()
        )
        environments = PaddedNeighbors.from_edges(
            centre, self._species[: self.n_local], self._species[neighbor], device
        )
        vectors = torch.as_tensor(self._vectors, device=device)
        return environments, vectors, torch.as_tensor(centre, device=device)

    def announce(self, swaps: int) -> None:
        # Once more for the forces.
        self.transport.announce([(self.plan.counts, self.plan.counts)] * (swaps + 1))

    def swap(self, edges: Tensor) -> Tensor:
        # One more row stands for what is not there: listed edges beyond the cutoff take part with
        # zeros, so that both ranks agree on what is sent even where rounding lets only one of them
        # see an edge at the cutoff; its cutoff factor is zero.
        padded = torch.cat([edges.detach(), edges.new_zeros(1, edges.shape[1])])
        swapped = padded.index_select(0, self._reverse)
        received = self.transport.exchange(padded.index_select(0, self._send))
        return swapped.index_copy_(0, self._receive, received.index_select(0, self._kept))

    def local_reverse(self) -> Tensor:
        if self.comm.size > 1:
            raise PetDriverError(
                f"this scope needs all atoms on one rank, there are {self.comm.size}; run on one "
                "rank or use scope layer"
            )
        return self._reverse

    def self_test(self, device: torch.device) -> str:
        # The very path that messages take, with values that the other side knows too.
        with self.evaluation(0):
            self.environments(device)
            active = self._active
            centre, neighbor = (
                self._species[x[active]] for x in (self.plan.centre, self.plan.neighbor)
            )
            here = torch.as_tensor(self._vectors).cpu().numpy()
            known = np.column_stack([centre, neighbor, here])
            theirs = np.column_stack([neighbor, centre, -here])
            found = self.swap(torch.as_tensor(known, device=device)).cpu().numpy()
            _compare(found, theirs)
        edges, cross = self.total(np.array([len(active), len(self.plan.send)]))
        return f"{edges:.0f} edges, {cross:.0f} of them between ranks, equal at both ends"

    def _rebuild(self, positions: np.ndarray) -> None:
        reach = self.cutoff + self.skin
        near = self._near_local(positions, reach)
        i, j = pairs_within(positions[near], reach)
        mine = i < self.n_local
        i, j = near[i[mine]], near[j[mine]]
        vectors = positions[j] - positions[i]
        self.plan = EdgePairing.build(
            self.comm, self._ids, self.n_local, (i, j), vectors, self.cutoff, self.skin
        )
        self._usable_skin = self.plan.skin

    def _near_local(self, positions: np.ndarray, reach: float) -> np.ndarray:
        """Indices of the local atoms, and of the ghosts in the box that reaches around them: an
        engine's own skin gives many more."""
        if not self.n_local:
            return np.zeros(0, dtype=np.int64)
        local = positions[: self.n_local]
        inside = (positions > local.min(axis=0) - reach) & (positions < local.max(axis=0) + reach)
        inside[: self.n_local] = True
        return np.nonzero(inside.all(axis=1))[0]

    def _take(self, positions: np.ndarray) -> None:
        plan = self.plan
        vectors = positions[plan.neighbor] - positions[plan.centre]
        lengths = np.linalg.norm(vectors, axis=1)
        near = lengths < self.cutoff
        if self.comm.size == 1:
            # Rounding may let one direction of an edge at the cutoff seem longer than the other.
            near &= near[plan.reverse]
        self._active = np.nonzero(near)[0]
        self._vectors, self._lengths = vectors[self._active], lengths[self._active]

    def _swap_indices(self) -> tuple[np.ndarray, ...]:
        """In terms of the active edges, the one after the last standing for those that are not:
        what is sent, which received rows are kept, for which edges, and reversed edges held here.
        """
        plan, active = self.plan, self._active
        place = np.full(len(plan.centre) + 1, len(active))
        place[active] = np.arange(len(active))
        receive = place[plan.receive]
        kept = np.nonzero(receive < len(active))[0]
        return place[plan.send], kept, receive[kept], place[plan.reverse[active]]


def _compare(found: np.ndarray, expected: np.ndarray) -> None:
    """
    :param found, expected: (n_edges, 5), species of the two ends and displacement
    """
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
