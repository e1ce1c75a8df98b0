"""One rank's share of a structure, and the exchange of edge messages with the ranks around it.

A rank owns local atoms and sees ghosts (atoms of other ranks, or periodic images) one cutoff deep.
Its centres are its local atoms. An edge to another local atom has its reversed edge here; an edge
to a ghost is a *cross edge*: its reversed edge is held by the rank that owns the ghost, possibly
this one. Both ranks list the cross edges between them in the same order, so that one Alltoallv
swaps what they carry.

Edges are paired by the ids of both atoms and by displacement, never by id alone: several images of
one atom are normal.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from vesin import NeighborList

from .errors import PetDriverError
from .ranks import agree, alltoallv, owners
from .structure import Environments, check_distances, check_finite

if TYPE_CHECKING:
    from mpi4py import MPI

# Images of one pair of atoms are told apart by the projection of their displacement on a direction
# in which no two displacements of a crystal coincide.
_GENERIC_DIRECTION = np.array([0.5401423, 0.6218907, 0.5669513])
_SAME_DISPLACEMENT = 1e-5  # angstrom; two ranks know the same displacement to about 1e-13


class Domain:
    """The local atoms and ghosts of one rank, and the plan that pairs its cross edges with those of
    other ranks.

    :param comm: communicator of the ranks that share the structure
    :param cutoff: distance up to which atoms see each other, angstrom
    :param skin: edges are listed up to ``cutoff + skin`` and reused until an atom has moved by half
        the skin, angstrom
    """

    def __init__(self, comm: MPI.Comm, cutoff: float, skin: float = 0.5) -> None:
        self.comm = comm
        self.cutoff = cutoff
        self.skin = skin
        self._ids = np.zeros(0, dtype=np.int64)
        self._reference = np.zeros((0, 3))
        self._usable_skin = -1.0
        self.rebuilds = 0

    # -- what an engine calls --

    def update(
        self, ids: np.ndarray, species: np.ndarray, positions: np.ndarray, n_local: int
    ) -> None:
        """Take new positions; list the edges and pair them anew where needed. Collective.

        :param ids: (n_local + n_ghosts,), id of each atom, the same for all its images
        :param species: (n_local + n_ghosts,), index of the species in the model
        :param positions: (n_local + n_ghosts, 3), angstrom, ghosts after the local atoms
        :raises PetDriverError: on every rank, if a position is not finite, two atoms coincide or
            the ghosts do not reach as far as the cutoff
        """
        with self.agreement():
            check_finite(positions)
            self.n_local = n_local
            stale = self._is_stale(ids, positions)
        if self._largest(float(stale)):
            self._rebuild(ids, species, positions)
        vectors = positions[self._neighbor] - positions[self._centre]
        lengths = np.linalg.norm(vectors, axis=1)
        near = lengths < self.cutoff
        if self.comm.size == 1:
            # Rounding may let one direction of an edge at the cutoff seem longer than the other.
            near &= near[self._reverse]
        self._active = np.nonzero(near)[0]
        self._vectors = vectors[self._active]
        with self.agreement():
            if self._active.size:
                check_distances(
                    lengths[self._active],
                    ids[self._centre][self._active],
                    ids[self._neighbor][self._active],
                )

    def environments(self, device: torch.device) -> tuple[Environments, Tensor, Tensor, Domain]:
        """What the potential evaluates: environments of the local atoms, vectors (n_edges, 3),
        centre (n_edges,), and the plan that swaps edges."""
        centre = self._centre[self._active]
        environments = Environments.from_edges(
            centre,
            self._species[: self.n_local],
            self._species[self._neighbor[self._active]],
            device,
        )
        vectors = torch.as_tensor(self._vectors, device=device)
        return environments, vectors, torch.as_tensor(centre, device=device), self

    def swap(self, edges: Tensor) -> Tensor:
        """Values on the active edges, (n_active, k), to those on the reversed edges. Collective.

        Listed edges beyond the cutoff take part with zeros, so that both ranks agree on what is
        sent even where rounding lets only one of them see an edge at the cutoff; its cutoff factor
        is zero.
        """
        values = np.zeros((len(self._centre), edges.shape[1]), dtype=_numpy_type(edges))
        values[self._active] = edges.detach().cpu().numpy()
        swapped = values[self._reverse]
        if self.comm.size > 1:
            swapped[self._receive_order] = alltoallv(
                self.comm, values[self._send_order], self._send_counts
            )
        return torch.as_tensor(swapped[self._active], device=edges.device)

    def local_reverse(self) -> Tensor:
        """(n_active,), index of the reversed edge of each active edge, on a single rank.

        :raises PetDriverError: on several ranks: what an atom hears of in its frame would reach
            several cutoffs deep
        """
        if self.comm.size > 1:
            raise PetDriverError(
                f"this scope needs all atoms on one rank, there are {self.comm.size}; run on one "
                "rank or use scope layer"
            )
        position = np.zeros(len(self._centre), dtype=np.int64)
        position[self._active] = np.arange(len(self._active))
        return torch.as_tensor(position[self._reverse[self._active]])

    def total(self, values: np.ndarray) -> np.ndarray:
        """Sum over all ranks, in float64. Collective."""
        result = np.empty_like(values, dtype=np.float64)
        self.comm.Allreduce(np.ascontiguousarray(values, dtype=np.float64), result)
        return result

    @contextmanager
    def agreement(self) -> Iterator[None]:
        """Run the body on every rank; if it fails on any, raise the first failing rank's sentence
        on all. Collective.
        """
        error: Exception | None = None
        try:
            yield
        except Exception as caught:  # every kind: whatever it is, the other ranks must learn of it
            error = caught
        agree(self.comm, error)

    # -- building the plan --

    def _is_stale(self, ids: np.ndarray, positions: np.ndarray) -> bool:
        if self._usable_skin < 0.0 or not np.array_equal(ids, self._ids):
            return True
        moved = np.linalg.norm(positions - self._reference, axis=1).max(initial=0.0)
        return bool(moved > 0.5 * self._usable_skin)

    def _rebuild(self, ids: np.ndarray, species: np.ndarray, positions: np.ndarray) -> None:
        self.rebuilds += 1
        self._ids, self._reference, self._species = ids.copy(), positions.copy(), species.copy()
        reach = self.cutoff + self.skin
        search = NeighborList(cutoff=reach, full_list=True)
        if len(positions):
            i, j = search.compute(points=positions, box=np.eye(3), periodic=False, quantities="ij")
        else:
            i = j = np.zeros(0, dtype=np.int64)
        mine = i < self.n_local
        i, j = i[mine].astype(np.int64), j[mine].astype(np.int64)
        order = np.lexsort((j, i))
        i, j = i[order], j[order]
        cross = np.nonzero(j >= self.n_local)[0]
        owner = owners(self.comm, ids[: self.n_local], ids[j[cross]])
        with self.agreement():
            if (owner < 0).any():
                lost = ids[j[cross]][owner < 0][0]
                raise PetDriverError(
                    f"ghost atom {lost} belongs to no rank; give all atoms unique ids"
                )
        vectors = positions[j] - positions[i]
        cross, owner, unpaired = self._pair(cross, owner, ids[i], ids[j], vectors)
        self._check_reach(unpaired, reach)
        self._set_plan(i, j, cross, owner, ids, vectors)

    def _pair(
        self,
        cross: np.ndarray,
        owner: np.ndarray,
        centre: np.ndarray,
        neighbor: np.ndarray,
        vectors: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """Cross edges that have a partner, their owners, and the length of the shortest that has
        none.

        Each rank sends its cross edges, reversed, to the owners of the ghosts and looks them up
        among its own.
        """
        records = np.column_stack([neighbor[cross], centre[cross], -vectors[cross]]).astype(
            np.float64
        )
        order = np.argsort(owner, kind="stable")
        counts = np.bincount(owner, minlength=self.comm.size)
        received = alltoallv(self.comm, records[order], counts)
        own = np.column_stack([centre[cross], neighbor[cross], vectors[cross]]).astype(np.float64)
        both = np.concatenate([own, received])
        foreign = np.arange(len(both)) >= len(own)
        projected = both[:, 2:] @ _GENERIC_DIRECTION
        sequence = np.lexsort((foreign, projected, both[:, 1], both[:, 0]))
        first, second = sequence[:-1], sequence[1:]
        fits = (both[first, :2] == both[second, :2]).all(axis=1) & (
            foreign[first] != foreign[second]
        )
        fits &= (
            np.abs(both[first, 2:] - both[second, 2:]).max(axis=1, initial=0.0) < _SAME_DISPLACEMENT
        )
        paired = np.zeros(len(both), dtype=bool)
        paired[first[fits]] = True
        paired[second[fits]] = True
        lonely = np.linalg.norm(both[~paired, 2:], axis=1).min(initial=np.inf)
        kept = paired[: len(own)]
        return cross[kept], owner[kept], float(lonely)

    def _check_reach(self, unpaired: float, reach: float) -> None:
        shortest = -self._largest(-unpaired)
        if shortest < self.cutoff:
            raise PetDriverError(
                f"the ghosts do not reach far enough: an edge of {shortest:.4f} angstrom, "
                "within the cutoff of "
                f"{self.cutoff:g}, is seen from one side only; add `comm_modify cutoff "
                f"{reach + 0.5:.2f}` (angstrom)"
            )
        self._usable_skin = min(self.skin, shortest - self.cutoff)

    def _set_plan(
        self,
        i: np.ndarray,
        j: np.ndarray,
        cross: np.ndarray,
        owner: np.ndarray,
        ids: np.ndarray,
        vectors: np.ndarray,
    ) -> None:
        """Keep the paired edges, and the order in which both ranks of each pair list them."""
        kept = j < self.n_local
        kept[cross] = True
        holders = np.full(len(i), -1)
        holders[cross] = owner
        i, j, holders, vectors = i[kept], j[kept], holders[kept], vectors[kept]
        self._centre, self._neighbor = i, j
        inner = np.nonzero(holders < 0)[0]
        self._reverse = np.arange(len(i))
        self._reverse[inner[np.lexsort((i[inner], j[inner]))]] = inner
        cross = np.nonzero(holders >= 0)[0]
        a, b, along = ids[i[cross]], ids[j[cross]], vectors[cross] @ _GENERIC_DIRECTION
        send = cross[np.lexsort((along, b, a, holders[cross]))]
        receive = cross[np.lexsort((-along, a, b, holders[cross]))]
        counts = np.bincount(holders[cross], minlength=self.comm.size)
        here = slice(counts[: self.comm.rank].sum(), counts[: self.comm.rank + 1].sum())
        self._reverse[receive[here]] = send[here]
        self._send_order, self._receive_order = np.delete(send, here), np.delete(receive, here)
        counts[self.comm.rank] = 0
        self._send_counts = counts

    def _largest(self, value: float) -> float:
        from mpi4py import MPI

        return self.comm.allreduce(value, op=MPI.MAX)


def _numpy_type(tensor: Tensor) -> np.dtype:
    return torch.empty(0, dtype=tensor.dtype).numpy().dtype
