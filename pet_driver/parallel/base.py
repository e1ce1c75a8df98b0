"""One rank's local atoms and ghosts, with edges that are listed anew when atoms have moved."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from vesin import NeighborList

from ..errors import PetDriverError
from ..graph import Graph, check_extent, check_finite
from .rank_group import RankGroup

if TYPE_CHECKING:
    from mpi4py import MPI

_FRESH, _STALE, _FAILED = 0, 1, 2


class Domain(RankGroup, ABC):
    """One rank's share of a structure that is spread over the ranks of a communicator.

    :param comm: communicator of the ranks that share the structure
    :param cutoff: distance within which neighbors are listed, angstrom
    :param skin: edges are listed up to cutoff + skin and reused until an atom has moved by half of
        the skin, angstrom
    :param device: of the graph; None: the CPU

    watch: seconds spent on "neighbor lists" and on "exchange", waiting for other ranks included;
    depth: how many cutoffs deep ghosts must be; rebuilds: how often edges were listed; n_local:
    number of atoms that this rank owns.
    """

    depth = 1

    def __init__(
        self, comm: MPI.Comm, cutoff: float, skin: float = 0.5, device: torch.device | None = None
    ) -> None:
        super().__init__(comm)
        self.cutoff = cutoff
        self.skin = skin
        self.device = device or torch.device("cpu")
        self.rebuilds = 0
        self.n_local = 0
        self._ids = np.zeros(0, dtype=np.int64)
        self._species = np.zeros(0, dtype=np.int64)
        self._reference = np.zeros((0, 3))
        self._positions = np.zeros((0, 3))
        self._usable_skin = -1.0

    def update(
        self,
        ids: NDArray[np.int64],
        species: NDArray[np.int64],
        positions: NDArray[np.float64],
        n_local: int,
    ) -> Graph:
        """Make the graph of new positions; list and pair the edges anew where needed. Collective.

        Parameters and errors as of `follow`.
        """
        self.follow(ids, species, positions, n_local)
        return self.graph()

    def graph(self) -> Graph:
        """Make the graph of the positions that were followed last. Collective.

        :raises PetDriverError: on every rank, if two atoms coincide
        """
        with self.watch.measure("neighbor lists"), self.agreement():
            return self._graph(self._positions)

    def follow(
        self,
        ids: NDArray[np.int64],
        species: NDArray[np.int64],
        positions: NDArray[np.float64],
        n_local: int,
    ) -> None:
        """Take up new positions; list and pair the edges anew where needed. Collective.

        :param ids: (n_local + n_ghosts,), id of each atom, the same for all its images
        :param species: (n_local + n_ghosts,), species index of each atom
        :param positions: (n_local + n_ghosts, 3), angstrom, ghosts after the local atoms
        :param n_local: number of atoms that this rank owns
        :raises PetDriverError: on every rank, if a position is not finite, an id occurs twice, or
            the ghosts do not reach far enough
        """
        with self.watch.measure("neighbor lists"):
            if self._is_stale_anywhere(ids, species, positions, n_local):
                with self.agreement():
                    check_unique(ids[:n_local])
                self.rebuilds += 1
                self.n_local = n_local
                self._ids, self._species = ids.copy(), species.copy()
                self._reference = positions.copy()
                self._usable_skin = -1.0  # if the next line fails, nothing listed before is used
                self._usable_skin = self._rebuild(positions)
            self._positions = positions

    @property
    def local_ids(self) -> NDArray[np.int64]:
        """Ids of the atoms that this rank owns, (n_local,)."""
        return self._ids[: self.n_local]

    # -- what subclasses do differently --

    @abstractmethod
    def self_test(self, graph: Graph) -> str:
        """Compare data of this rank's ghosts with those of the ranks that own them. Collective.

        :return: what was compared, in a few words
        :raises PetDriverError: on every rank, if they differ
        """

    @abstractmethod
    def _rebuild(self, positions: NDArray[np.float64]) -> float:
        """List the edges. Collective.

        :return: skin, angstrom: how far beyond the cutoff all edges are known
        """

    @abstractmethod
    def _graph(self, positions: NDArray[np.float64]) -> Graph:
        """Graph of the listed edges that are shorter than the cutoff now.

        :raises PetDriverError: if two atoms coincide
        """

    # -- shared --

    def _is_stale_anywhere(
        self,
        ids: NDArray[np.int64],
        species: NDArray[np.int64],
        positions: NDArray[np.float64],
        n_local: int,
    ) -> bool:
        """Whether edges must be listed anew on any rank.

        :raises PetDriverError: on every rank, if a position is not finite
        """
        error: PetDriverError | None = None
        state = _FAILED
        try:
            check_finite(positions, names=ids)
            state = _STALE if self._is_stale(ids, species, positions, n_local) else _FRESH
        except PetDriverError as caught:
            error = caught
        worst = self.largest(state)
        if worst == _FAILED:
            with self.agreement():
                if error is not None:
                    raise error
        return worst == _STALE

    def _is_stale(
        self,
        ids: NDArray[np.int64],
        species: NDArray[np.int64],
        positions: NDArray[np.float64],
        n_local: int,
    ) -> bool:
        if self._usable_skin < 0.0 or n_local != self.n_local:
            return True
        if not (np.array_equal(ids, self._ids) and np.array_equal(species, self._species)):
            return True
        moved = np.linalg.norm(positions - self._reference, axis=1).max(initial=0.0)
        return bool(moved > 0.5 * self._usable_skin)


def check_unique(ids: NDArray[np.int64]) -> None:
    """Check that no two local atoms of this rank have the same id.

    :param ids: (n_local,)
    :raises PetDriverError: if an id occurs twice
    """
    ordered = np.sort(ids)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if twice.size:
        raise PetDriverError(
            f"atom id {twice[0]} occurs more than once; give all atoms unique ids (`atom_modify id "
            "yes`, `reset_atoms id`)"
        )


def pairs_within(
    positions: NDArray[np.float64], cutoff: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Centre and neighbor of all pairs of points, (n_pairs,) each, in both directions, sorted.

    :param positions: (n, 3), angstrom, images included: nothing is periodic here
    :param cutoff: angstrom
    """
    if not len(positions):
        none = np.zeros(0, dtype=np.int64)
        return none, none
    check_extent(positions, np.eye(3), np.zeros(3, dtype=np.bool_), cutoff)
    search = NeighborList(cutoff=cutoff, full_list=True)
    i, j = search.compute(points=positions, box=np.eye(3), periodic=False, quantities="ij")
    order = np.lexsort((j, i))
    return i[order].astype(np.int64), j[order].astype(np.int64)
