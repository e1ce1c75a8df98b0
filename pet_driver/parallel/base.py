"""The local atoms and ghosts of one rank, whatever is done about the edges between them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from vesin import NeighborList

from ..errors import PetDriverError
from ..graph import PaddedNeighbors, check_finite
from ..graph.edge_exchange import EdgeExchange
from ..runtime.stopwatch import Stopwatch
from .collectives import agree
from .transport import Transport

if TYPE_CHECKING:
    from mpi4py import MPI


class Domain(EdgeExchange):
    """Positions that change from step to step, and lists of edges that are made anew when needed.

    :param comm: communicator of the ranks that share the structure
    :param cutoff: distance up to which atoms see each other, angstrom
    :param skin: edges are listed so far beyond the cutoff and reused until an atom has moved by
        half of it, angstrom

    watch: seconds spent on "neighbor lists" and on "exchange", waiting for other ranks included;
    depth: how many cutoffs deep ghosts must be; rebuilds: how often edges were listed.
    """

    depth = 1

    def __init__(self, comm: MPI.Comm, cutoff: float, skin: float) -> None:
        self.comm = comm
        self.cutoff = cutoff
        self.skin = skin
        self.watch = Stopwatch()
        self.transport = Transport(comm.Dup(), self.watch)
        self.rebuilds = 0
        self.n_local = 0
        self._ids = np.zeros(0, dtype=np.int64)
        self._species = np.zeros(0, dtype=np.int64)
        self._reference = np.zeros((0, 3))
        self._usable_skin = -1.0

    # -- what an engine calls --

    def update(
        self, ids: np.ndarray, species: np.ndarray, positions: np.ndarray, n_local: int
    ) -> None:
        """Take new positions; list the edges and pair them anew where needed. Collective.

        :param ids: (n_local + n_ghosts,), id of each atom, the same for all its images
        :param species: (n_local + n_ghosts,), index of the species in the model
        :param positions: (n_local + n_ghosts, 3), angstrom, ghosts after the local atoms
        :raises PetDriverError: on every rank, if a position is not finite or the ghosts do not
            reach far enough
        """
        with self.watch.measure("neighbor lists"):
            with self.agreement():
                check_finite(positions, names=ids)
            if self._any(self._is_stale(ids, species, positions, n_local)):
                with self.agreement():
                    _check_unique(ids[:n_local])
                self.rebuilds += 1
                self.n_local = self.n_roots = n_local
                self._ids, self._species = ids.copy(), species.copy()
                self._reference = positions.copy()
                self._rebuild(positions)
            self._take(positions)

    @property
    def local_ids(self) -> np.ndarray:
        """(n_local,), ids of the rank's own atoms."""
        return self._ids[: self.n_local]

    @property
    @abstractmethod
    def n_centres(self) -> int:
        """Number of environments that this rank evaluates."""

    @abstractmethod
    def environments(self, device: torch.device) -> tuple[PaddedNeighbors, Tensor, Tensor]:
        """What the potential evaluates: environments, vectors (n_edges, 3) and centre (n_edges,).

        :raises PetDriverError: if two atoms coincide
        """

    @abstractmethod
    def announce(self, swaps: int) -> None:
        """Tell the transport which exchanges an evaluation consists of that swaps values on edges
        so many times, besides bringing home forces."""

    @contextmanager
    def evaluation(self, swaps: int) -> Iterator[None]:
        """Surrounds one evaluation on every rank. Whatever fails on any of them, all come out of it
        together, with the same error. Collective.

        :raises PetDriverError: the first failing rank's sentence
        :raises torch.OutOfMemoryError: if that is what failed
        """
        self.announce(swaps)
        with self.agreement():
            try:
                yield
            except Exception:
                self.transport.drain()
                raise

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
        with self.watch.measure("exchange"):
            agree(self.comm, error)

    def total(self, values: np.ndarray) -> np.ndarray:
        """Sum over all ranks, in float64. Collective."""
        result = np.empty_like(values, dtype=np.float64)
        with self.watch.measure("exchange"):
            self.comm.Allreduce(np.ascontiguousarray(values, dtype=np.float64), result)
        return result

    def largest(self, value: int) -> int:
        """The largest over all ranks. Collective."""
        from mpi4py import MPI

        with self.watch.measure("exchange"):
            return self.comm.allreduce(value, op=MPI.MAX)

    def close(self) -> None:
        """Give the communicator back. Collective."""
        self.transport.comm.Free()

    # -- what a kind of domain does differently --

    @abstractmethod
    def self_test(self, device: torch.device) -> str:
        """Compare what this rank knows of ghosts with what their owners know; what was found, in a
        few words. Collective.

        :raises PetDriverError: on every rank, if they differ
        """

    @abstractmethod
    def _rebuild(self, positions: np.ndarray) -> None:
        """List the edges; set ``_usable_skin``. Collective."""

    @abstractmethod
    def _take(self, positions: np.ndarray) -> None:
        """Vectors of the listed edges that are shorter than the cutoff now."""

    # -- shared --

    def _is_stale(
        self, ids: np.ndarray, species: np.ndarray, positions: np.ndarray, n_local: int
    ) -> bool:
        if self._usable_skin < 0.0 or n_local != self.n_local:
            return True
        if not (np.array_equal(ids, self._ids) and np.array_equal(species, self._species)):
            return True
        moved = np.linalg.norm(positions - self._reference, axis=1).max(initial=0.0)
        return bool(moved > 0.5 * self._usable_skin)

    def _any(self, here: bool) -> bool:
        return bool(self.largest(int(here)))


def _check_unique(ids: np.ndarray) -> None:
    ordered = np.sort(ids)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if twice.size:
        raise PetDriverError(
            f"atom id {twice[0]} occurs more than once; give all atoms unique ids (`atom_modify id "
            "yes`, `reset_atoms id`)"
        )


def pairs_within(positions: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Centre and neighbor of all pairs of points, in both directions, sorted.

    :param positions: (n, 3), angstrom, images included: nothing is periodic here
    """
    if not len(positions):
        none = np.zeros(0, dtype=np.int64)
        return none, none
    search = NeighborList(cutoff=reach, full_list=True)
    i, j = search.compute(points=positions, box=np.eye(3), periodic=False, quantities="ij")
    order = np.lexsort((j, i))
    return i[order].astype(np.int64), j[order].astype(np.int64)
