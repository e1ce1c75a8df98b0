"""Pairing of the edges of a rank's local atoms with their reversed edges on other ranks.

An edge to another local atom has its reversed edge here; an edge to a ghost is a *cross edge*: its
reversed edge is held by the rank that owns the ghost, possibly this one. Both ranks list the cross
edges between them in the same order.

Edges are paired by the ids of both atoms and by displacement, never by id alone: several images of
one atom are normal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import PetDriverError
from .collectives import alltoallv, owners

if TYPE_CHECKING:
    from mpi4py import MPI

# Images of one pair of atoms are told apart by the projection of their displacement on a direction
# in which no two displacements of a crystal coincide.
GENERIC_DIRECTION = np.array([0.5401423, 0.6218907, 0.5669513])
ROUNDING = 1e-6  # angstrom; this close to the cutoff an edge may be listed at one end only
SAME_DISPLACEMENT = 1e-5  # angstrom; two ranks know the same displacement to about 1e-13


@dataclass(frozen=True)
class EdgePairing:
    """Listed edges, sorted by centre, and where their reversed edges are.

    centre, neighbor: (n_edges,), indices into local atoms and ghosts; reverse: (n_edges,), index of
    the reversed edge, -1 where another rank holds it; send: (n_remote,), edges whose values are
    sent, in the order of sending; receive: (n_remote,), edges whose values arrive, in the order of
    arrival; counts: (n_ranks,), number of values exchanged with each rank; skin: angstrom, how far
    beyond the cutoff all edges are known; paired: (n_edges,), index of each edge among those given
    to `build`.
    """

    centre: NDArray[np.int64]
    neighbor: NDArray[np.int64]
    reverse: NDArray[np.int64]
    send: NDArray[np.int64]
    receive: NDArray[np.int64]
    counts: NDArray[np.int64]
    skin: float
    paired: NDArray[np.int64]

    @classmethod
    def build(
        cls,
        comm: MPI.Comm,
        ids: NDArray[np.int64],
        n_local: int,
        edges: tuple[NDArray[np.int64], NDArray[np.int64]],
        vectors: NDArray[np.float64],
        cutoff: float,
        skin: float,
    ) -> EdgePairing:
        """Pair the edges of all ranks. Collective.

        :param ids: (n_local + n_ghosts,), id of each atom, the same for all its images
        :param edges: (n_edges,) each, centre and neighbor of all pairs within ``cutoff + skin``
            whose centre is local, sorted
        :param vectors: (n_edges, 3), from centre to neighbor, angstrom
        :param cutoff, skin: angstrom
        :raises PetDriverError: on every rank, if a ghost belongs to no rank, or the ghosts do not
            reach as far as the cutoff
        """
        i, j = edges
        cross = np.nonzero(j >= n_local)[0]
        owner = owners(comm, ids[:n_local], ids[j[cross]])
        paired, lonely = _pair(comm, owner, ids[i[cross]], ids[j[cross]], vectors[cross])
        usable = _usable_skin(comm, lonely, cutoff, skin)
        holder = np.full(len(i), comm.rank)
        holder[cross] = owner
        known = np.ones(len(i), dtype=bool)
        known[cross] = paired
        i, j, holder, vectors = i[known], j[known], holder[known], vectors[known]
        reverse = np.full(len(i), -1)
        inner = np.nonzero(j < n_local)[0]
        # Sorting the reversed edges by the same key lists them in the order of the edges.
        reverse[inner[np.lexsort((i[inner], j[inner]))]] = inner
        cross = np.nonzero(j >= n_local)[0]
        a, b, along = ids[i[cross]], ids[j[cross]], vectors[cross] @ GENERIC_DIRECTION
        send = cross[np.lexsort((along, b, a, holder[cross]))]
        receive = cross[np.lexsort((-along, a, b, holder[cross]))]
        here = holder[send] == comm.rank
        reverse[receive[here]] = send[here]
        send, receive = send[~here], receive[~here]
        counts = np.bincount(holder[send], minlength=comm.size)
        return cls(i, j, reverse, send, receive, counts, usable, np.nonzero(known)[0])


def _pair(
    comm: MPI.Comm,
    owner: NDArray[np.int64],
    centre: NDArray[np.int64],
    neighbor: NDArray[np.int64],
    vectors: NDArray[np.float64],
) -> tuple[NDArray[np.bool_], float]:
    """Find which cross edges have their reversed edge on the rank of the ghost.

    Each rank sends its cross edges, reversed, to the owners of the ghosts, which look them up among
    their own.

    :param owner: (n_cross,), rank that owns the ghost
    :param centre, neighbor: (n_cross,), ids
    :param vectors: (n_cross, 3), from centre to neighbor, angstrom
    :return: whether each is paired, (n_cross,), and the length of the shortest edge, of this rank
        or received, that is not, angstrom
    """
    records = np.column_stack([neighbor, centre, -vectors]).astype(np.float64)
    order = np.argsort(owner, kind="stable")
    received = alltoallv(comm, records[order], np.bincount(owner, minlength=comm.size))
    own = np.column_stack([centre, neighbor, vectors]).astype(np.float64)
    both = np.concatenate([own, received])
    foreign = np.arange(len(both)) >= len(own)
    projected = both[:, 2:] @ GENERIC_DIRECTION
    sequence = np.lexsort((foreign, projected, both[:, 1], both[:, 0]))
    first, second = sequence[:-1], sequence[1:]
    fits = (both[first, :2] == both[second, :2]).all(axis=1) & (foreign[first] != foreign[second])
    apart = np.abs(both[first, 2:] - both[second, 2:]).max(axis=1, initial=0.0)
    fits &= apart < SAME_DISPLACEMENT
    paired = np.zeros(len(both), dtype=bool)
    paired[first[fits]] = True
    paired[second[fits]] = True
    lonely = np.linalg.norm(both[~paired, 2:], axis=1).min(initial=np.inf)
    return paired[: len(own)], float(lonely)


def _usable_skin(comm: MPI.Comm, lonely: float, cutoff: float, skin: float) -> float:
    """How far beyond the cutoff all edges are known on all ranks, angstrom.

    :param lonely: length of the shortest edge without a reversed edge on this rank, angstrom
    :raises PetDriverError: on every rank, if an edge within the cutoff has no reversed edge
    """
    from mpi4py import MPI

    shortest = comm.allreduce(lonely, op=MPI.MIN)
    if shortest < cutoff - ROUNDING:
        raise PetDriverError(
            f"the ghosts do not reach far enough: an edge of {shortest:.4f} angstrom, within the "
            f"cutoff of {cutoff:g}, is listed by one of its two ranks only; add "
            f"`comm_modify cutoff {cutoff + skin + 0.5:.2f}` (angstrom)"
        )
    return float(max(min(skin, shortest - cutoff), 0.0))
