"""Verlet lists: neighbor lists with a skin, reused for later steps, beads and replicas."""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .neighbor_list import Edges, check_distances, find_edges, periodic_cell, search_pairs
from .system import System, check_finite

_MOST_LISTS = 4096
_MOST_TRIED = 128  # for a structure out of turn: trying all would be quadratic in a batch
_MOST_PAIRS = 4_000_000  # in all lists, about 200 MB
_LEAST_STRETCH = 0.9  # the list of a much denser cell is complete, but has many pairs
_PROBE = 8  # atoms that are compared first, to discard a list quickly


class VerletList:
    """All pairs of one structure up to cutoff + skin.

    :param system: structure to list
    :param cutoff, skin: angstrom

    follower: the list that was used next when this one was last used; None: not known.
    """

    def __init__(self, system: System, cutoff: float, skin: float) -> None:
        self.cutoff, self.skin = cutoff, skin
        self.follower: VerletList | None = None
        self.cell = periodic_cell(system)
        self.numbers, self.pbc = system.numbers, system.pbc
        self.fractional = system.positions @ np.linalg.inv(self.cell)
        self.centre, self.neighbor, self.shifts, self.reverse = search_pairs(
            system, self.cell, cutoff + skin
        )

    def unwrapped(
        self, system: System, cell: NDArray[np.float64], inverse: NDArray[np.float64]
    ) -> NDArray[np.float64] | None:
        """Positions of a structure as if no atom had been wrapped since the list was made.

        None if the list may lack pairs of the structure. It is complete if every pair that is
        within the cutoff now was within cutoff + skin when it was made. With s the largest singular
        value of the map from the present cell to the former, and no atom displaced by more than d
        (apart from that map), this holds for ``s (cutoff + 2 d) <= cutoff + skin``.

        :param cell: result of `periodic_cell` for the system, (3, 3), angstrom
        :param inverse: inverse of the cell
        :return: (n_atoms, 3), angstrom
        """
        if len(system) != len(self.numbers) or not np.array_equal(system.pbc, self.pbc):
            return None
        stretch = np.linalg.svd(inverse @ self.cell, compute_uv=False)
        most = 0.5 * ((self.cutoff + self.skin) / stretch[0] - self.cutoff)
        fractional = system.positions @ inverse
        if (
            most <= 0.0
            or stretch[-1] < _LEAST_STRETCH
            or not self._near(fractional[:_PROBE], cell, most)
        ):
            return None
        if not self._near(fractional, cell, most):
            return None
        wraps = self._wraps(fractional)
        return system.positions - wraps @ cell if wraps.any() else system.positions

    def edges(self, positions: NDArray[np.float64], cell: NDArray[np.float64]) -> Edges:
        """Pairs within the cutoff.

        :param positions: result of `unwrapped`
        :param cell: result of `periodic_cell`
        :raises PetDriverError: if two atoms are closer than 0.1 angstrom
        """
        vectors = positions[self.neighbor] - positions[self.centre] + self.shifts @ cell
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        kept = np.flatnonzero(lengths < self.cutoff)
        check_distances(lengths[kept], self.centre[kept], self.neighbor[kept])
        rank = np.empty(len(lengths), dtype=np.int64)
        rank[kept] = np.arange(len(kept))
        return Edges(
            self.centre[kept], self.neighbor[kept], vectors[kept], rank[self.reverse[kept]]
        )

    def outdated_by(self, new: VerletList) -> bool:
        """Whether a new list is of the same atoms, moved by up to the skin.

        A list serves until atoms have moved by half of that; other structures are farther away.
        """
        if not np.array_equal(self.numbers, new.numbers) or not np.array_equal(self.pbc, new.pbc):
            return False
        return self._near(new.fractional, new.cell, self.skin)

    def _near(
        self, fractional: NDArray[np.float64], cell: NDArray[np.float64], most: float
    ) -> bool:
        """Whether no atom has moved by more than ``most``, angstrom."""
        moved = fractional - self._wraps(fractional) - self.fractional[: len(fractional)]
        moved = moved @ cell
        return bool(np.einsum("ij,ij->i", moved, moved).max(initial=0.0) <= most**2)

    def _wraps(self, fractional: NDArray[np.float64]) -> NDArray[np.float64]:
        """Number of cells by which each atom has been wrapped, in the periodic directions."""
        moved = fractional - self.fractional[: len(fractional)]
        return np.where(self.pbc, np.rint(moved), 0.0)


class Listed(NamedTuple):
    """A structure and the list that is complete for it.

    pairs: the list; positions: (n_atoms, 3), angstrom, as if no atom had been wrapped since it was
    made; cell: (3, 3), angstrom, rows.
    """

    pairs: VerletList
    positions: NDArray[np.float64]
    cell: NDArray[np.float64]


class VerletCache:
    """The Verlet lists that were used last; several threads may ask for lists.

    :param cutoff: angstrom
    :param skin: angstrom; 0: the neighbors of every structure are searched anew

    searches: number of lists made.
    """

    def __init__(self, cutoff: float, skin: float) -> None:
        self.cutoff, self.skin = cutoff, skin
        self.searches = 0
        self._lists: list[VerletList] = []  # the one used last at the end
        self._lock = threading.Lock()

    def __getstate__(self) -> tuple[float, float]:
        """Copies begin without lists."""
        return self.cutoff, self.skin

    def __setstate__(self, state: tuple[float, float]) -> None:
        """Begin without lists."""
        self.__init__(*state)  # type: ignore[misc]

    def edges(self, system: System, begins_batch: bool = False) -> Edges:
        """Edges of a structure, from a list that is complete for it or from a new one.

        :param begins_batch: see `listed`
        :raises PetDriverError: see `find_edges`
        """
        if not len(system) or self.skin <= 0.0:
            self.searches += 1
            return find_edges(system, self.cutoff)
        listed = self.listed(system, begins_batch)
        return listed.pairs.edges(listed.positions, listed.cell)

    def listed(self, system: System, begins_batch: bool = False) -> Listed:
        """A list that is complete for a structure, the one of before or a new one.

        :param system: with at least one atom
        :param begins_batch: whether it is the first of several; all lists are tried for it, so that
            those of the others are found in turn
        :raises PetDriverError: see `find_edges`
        """
        check_finite(system.positions, system.cell)
        cell = periodic_cell(system)
        with self._lock:
            return self._listed(system, cell, begins_batch)

    def _listed(self, system: System, cell: NDArray[np.float64], begins_batch: bool) -> Listed:
        inverse = np.asarray(np.linalg.inv(cell), dtype=np.float64)
        last = self._lists[-1] if self._lists else None
        for candidate in self._candidates(last, len(self._lists) if begins_batch else _MOST_TRIED):
            positions = candidate.unwrapped(system, cell, inverse)
            if positions is not None:
                self._lists.remove(candidate)
                break
        else:
            self.searches += 1
            candidate = VerletList(system, self.cutoff, max(self.skin, 0.0))
            positions = system.positions
            self._make_room(candidate)
            self._take_turn(candidate, last)
        self._lists.append(candidate)
        if last is not None:
            last.follower = candidate
        return Listed(candidate, positions, cell)

    def _candidates(self, last: VerletList | None, most: int) -> list[VerletList]:
        """Lists to try; first the one used after the last one before, as beads come in turn.

        :param most: number of further ones, the latest first
        """
        rest = self._lists[: -most - 1 : -1]
        expected = last.follower if last is not None else None
        return [expected, *rest] if expected in self._lists else rest

    def _take_turn(self, new: VerletList, last: VerletList | None) -> None:
        """Let a new list follow where the expected one did, and replace it if it is outdated."""
        expected = last.follower if last is not None else None
        if expected is None or expected is last or expected not in self._lists:
            return
        new.follower = expected.follower if expected.follower is not expected else new
        if expected.outdated_by(new):
            self._drop(expected)

    def _drop(self, dropped: VerletList) -> None:
        self._lists.remove(dropped)
        for other in self._lists:
            if other.follower is dropped:
                other.follower = None

    def _make_room(self, new: VerletList) -> None:
        pairs = len(new.centre) + sum(len(old.centre) for old in self._lists)
        while self._lists and (pairs > _MOST_PAIRS or len(self._lists) >= _MOST_LISTS):
            pairs -= len(self._lists[0].centre)
            self._drop(self._lists[0])
