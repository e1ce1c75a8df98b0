"""The edges of a rank's local atoms, and the plan that pairs those to ghosts with their reversed
edges on other ranks.

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

from ..errors import PetDriverError
from .collectives import agree, alltoallv, owners

if TYPE_CHECKING:
    from mpi4py import MPI

# Images of one pair of atoms are told apart by the projection of their displacement on a direction
# in which no two displacements of a crystal coincide.
_GENERIC_DIRECTION = np.array([0.5401423, 0.6218907, 0.5669513])
SAME_DISPLACEMENT = 1e-5  # angstrom; two ranks know the same displacement to about 1e-13


@dataclass
class EdgePairing:
    """Listed edges, sorted by centre, and where their reversed edges are.

    centre, neighbor: (n_edges,), indices into local atoms and ghosts; reverse: (n_edges,), index of
    the reversed edge, -1 where another rank holds it; send, receive: (n_remote,), the edges whose
    values are sent, in the order in which they are, and those whose values arrive, likewise;
    counts: (n_ranks,), rows exchanged with each rank; skin: angstrom, how far beyond the cutoff all
    edges are known; paired: (n_edges,), which of the edges given they are.
    """

    centre: np.ndarray
    neighbor: np.ndarray
    reverse: np.ndarray
    send: np.ndarray
    receive: np.ndarray
    counts: np.ndarray
    skin: float
    paired: np.ndarray

    @classmethod
    def build(
        cls,
        comm: MPI.Comm,
        ids: np.ndarray,
        n_local: int,
        edges: tuple[np.ndarray, np.ndarray],
        vectors: np.ndarray,
        cutoff: float,
        skin: float,
    ) -> EdgePairing:
        """Collective.

        :param ids: (n_local + n_ghosts,)
        :param edges: (n_edges,) each, centre and neighbor of all pairs within ``cutoff + skin``
            whose centre is local, sorted
        :param vectors: (n_edges, 3), from centre to neighbor, angstrom
        :raises PetDriverError: on every rank, if the ghosts do not reach as far as the cutoff
        """
        i, j = edges
        cross = np.nonzero(j >= n_local)[0]
        owner = owners(comm, ids[:n_local], ids[j[cross]])
        _check_owners(comm, ids[j[cross]], owner)
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
        a, b, along = ids[i[cross]], ids[j[cross]], vectors[cross] @ _GENERIC_DIRECTION
        send = cross[np.lexsort((along, b, a, holder[cross]))]
        receive = cross[np.lexsort((-along, a, b, holder[cross]))]
        here = holder[send] == comm.rank
        reverse[receive[here]] = send[here]
        send, receive = send[~here], receive[~here]
        counts = np.bincount(holder[send], minlength=comm.size)
        return cls(i, j, reverse, send, receive, counts, usable, np.nonzero(known)[0])


def _check_owners(comm: MPI.Comm, ids: np.ndarray, owner: np.ndarray) -> None:
    error = None
    if (owner < 0).any():
        lost = ids[owner < 0][0]
        error = PetDriverError(f"ghost atom {lost} belongs to no rank; give all atoms unique ids")
    agree(comm, error)


def _pair(
    comm: MPI.Comm,
    owner: np.ndarray,
    centre: np.ndarray,
    neighbor: np.ndarray,
    vectors: np.ndarray,
) -> tuple[np.ndarray, float]:
    """Which cross edges have a partner, and the length of the shortest, seen from either side, that
    has none.

    Each rank sends its cross edges, reversed, to the owners of the ghosts and looks them up among
    its own.

    :param owner: (n_cross,), rank that owns the ghost; centre, neighbor: (n_cross,), ids
    """
    records = np.column_stack([neighbor, centre, -vectors]).astype(np.float64)
    order = np.argsort(owner, kind="stable")
    received = alltoallv(comm, records[order], np.bincount(owner, minlength=comm.size))
    own = np.column_stack([centre, neighbor, vectors]).astype(np.float64)
    both = np.concatenate([own, received])
    foreign = np.arange(len(both)) >= len(own)
    projected = both[:, 2:] @ _GENERIC_DIRECTION
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
    from mpi4py import MPI

    shortest = comm.allreduce(lonely, op=MPI.MIN)
    if shortest < cutoff:
        raise PetDriverError(
            f"the ghosts do not reach far enough: an edge of {shortest:.4f} angstrom, within the "
            f"cutoff of {cutoff:g}, is seen from one side only; add `comm_modify cutoff "
            f"{cutoff + skin + 0.5:.2f}` (angstrom)"
        )
    return min(skin, shortest - cutoff)
