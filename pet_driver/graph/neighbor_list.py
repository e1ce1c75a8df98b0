"""Neighbor lists: the directed edges of a structure, and which edge is the reverse of which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from ase.geometry import complete_cell
from numpy.typing import NDArray
from vesin import NeighborList

from ..errors import PetDriverError
from ..runtime.devices import free_memory
from .system import System, check_finite

TOO_CLOSE = 0.1  # angstrom; a smaller distance is an error of the input
# Beyond these the search of vesin 0.6 loses pairs, or ends the process.
_FARTHEST = 1e9  # cells from the origin
CROWDED = 1000  # neighbors of an atom; no structure at its own density has as many
_BYTES_PER_PAIR = 150  # that the search and the sorting take
_WIDEST = 2e4  # cutoffs from one end to the other


@dataclass(frozen=True)
class Edges:
    """Full neighbor list, sorted by centre.

    centre, neighbor: (n_edges,); vectors: (n_edges, 3) from centre to neighbor, angstrom; reverse:
    (n_edges,) index of the edge from neighbor to centre.
    """

    centre: NDArray[np.int64]
    neighbor: NDArray[np.int64]
    vectors: NDArray[np.float64]
    reverse: NDArray[np.int64]


def find_edges(system: System, cutoff: float) -> Edges:
    """Find all pairs closer than ``cutoff``, in both directions, periodic images included.

    :param cutoff: angstrom
    :raises PetDriverError: if a position is not finite, the cell has no volume in a periodic
        direction, or two atoms are closer than 0.1 angstrom
    """
    check_finite(system.positions, system.cell)
    if len(system) == 0:
        none = np.zeros(0, dtype=np.int64)
        return Edges(none, none, np.zeros((0, 3)), none)
    cell = periodic_cell(system)
    i, j, shifts, reverse = search_pairs(system, cell, cutoff)
    vectors = system.positions[j] - system.positions[i] + shifts @ cell
    check_distances(np.linalg.norm(vectors, axis=1), i, j)
    return Edges(i, j, vectors, reverse)


def search_pairs(
    system: System, cell: NDArray[np.float64], cutoff: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Find all pairs closer than ``cutoff``, as centre, neighbor, cell shift and reversed pair.

    They are sorted by centre, neighbor and shift, so that the order does not depend on the search.

    :param cell: result of `periodic_cell`, (3, 3), angstrom
    :param cutoff: angstrom
    :return: centre (n_pairs,), neighbor (n_pairs,), cell shift of the neighbor (n_pairs, 3), index
        of the reversed pair (n_pairs,)
    :raises PetDriverError: if an atom is very far away, or atoms are so dense that their pairs
        would not fit into memory
    """
    check_extent(system.positions, cell, system.pbc, cutoff)
    check_density(system, cell, cutoff)
    search = NeighborList(cutoff=cutoff, full_list=True)
    i, j, shifts = search.compute(
        points=system.positions, box=cell, periodic=system.pbc, quantities="ijS"
    )
    shifts = np.rint(shifts).astype(np.int64)
    order = np.lexsort((*shifts.T, j, i))
    i, j, shifts = i[order].astype(np.int64), j[order].astype(np.int64), shifts[order]
    # Sorting the reversed edges by the same key lists them in the order of the edges themselves.
    reverse = np.empty(len(i), dtype=np.int64)
    reverse[np.lexsort((*(-shifts).T, i, j))] = np.arange(len(i))
    return i, j, shifts, reverse


def check_extent(
    positions: NDArray[np.float64],
    cell: NDArray[np.float64],
    pbc: NDArray[np.bool_],
    cutoff: float,
) -> None:
    """Check that atoms are not so far away, nor a cell so long, that the search would fail.

    :param positions: (n_atoms, 3), angstrom; cell: (3, 3), angstrom; pbc: (3,)
    :param cutoff: angstrom
    :raises PetDriverError: if that is so
    """
    if not len(positions):
        return
    inverse = np.linalg.inv(cell)
    fractional = positions @ inverse
    away = np.abs(fractional) * pbc
    if away.max() > _FARTHEST:
        atom = int(away.max(axis=1).argmax())
        raise PetDriverError(
            f"atom {atom} (counted from 0) is {away.max():.1e} cells away from the origin, too far "
            "for the neighbor list; wrap the positions into the cell"
        )
    heights = 1.0 / np.linalg.norm(inverse, axis=0)
    extent = float((np.where(pbc, 1.0, np.ptp(fractional, axis=0)) * heights).max())
    if extent > _WIDEST * cutoff:
        raise PetDriverError(
            f"the structure is {extent:.1e} angstrom long, too much for the neighbor list; remove "
            "atoms that have flown away, or give a smaller cell"
        )


def periodic_cell(system: System) -> NDArray[np.float64]:
    """Cell with the missing vectors of non-periodic directions filled in, (3, 3), angstrom.

    :raises PetDriverError: if a periodic direction has no lattice vector or the cell no volume
    """
    if not system.pbc.any():
        return np.eye(3)
    cell = np.where(system.pbc[:, None], system.cell, 0.0)
    missing = system.pbc & (np.linalg.norm(cell, axis=1) < 1e-6)
    if missing.any():
        raise PetDriverError(
            f"direction {int(np.argmax(missing))} is periodic but its lattice vector is zero; "
            "give a cell or set pbc to F"
        )
    with np.errstate(invalid="ignore"):
        cell = np.asarray(complete_cell(cell), dtype=np.float64)
        volume = abs(np.linalg.det(cell))
    if not volume >= 1e-6:  # nor where it is no number, as of parallel vectors
        raise PetDriverError(
            f"the cell {cell.tolist()} has no volume; its vectors must not lie in one plane"
        )
    return cell


def check_structure(system: System) -> None:
    """Check a structure as far as that needs no neighbor list.

    :raises PetDriverError: if there are no atoms, an atom has no element, a position is not finite,
        or the cell has no volume in a periodic direction
    """
    if not len(system):
        raise PetDriverError("the structure has no atoms; give at least one")
    if system.numbers.min() < 1:
        atom = int(system.numbers.argmin())
        raise PetDriverError(
            f"atom {atom} (counted from 0) has the atomic number {system.numbers[atom]}; "
            "give every atom an element"
        )
    check_finite(system.positions, system.cell)
    periodic_cell(system)


def check_distances(
    lengths: NDArray[np.float64], first: NDArray[np.int64], second: NDArray[np.int64]
) -> None:
    """Check that no two atoms coincide.

    :param lengths: (n_edges,), angstrom
    :param first, second: (n_edges,), what the message calls the two atoms
    :raises PetDriverError: if two atoms are closer than 0.1 angstrom
    """
    if lengths.size and lengths.min() < TOO_CLOSE:
        edge = int(lengths.argmin())
        raise PetDriverError(
            f"atoms {first[edge]} and {second[edge]} are {lengths[edge]:.3g} angstrom apart; "
            "remove one of them or relax the structure first"
        )


def check_density(system: System, cell: NDArray[np.float64], cutoff: float) -> None:
    """Check that the pairs of atoms fit into memory, by the mean density.

    Only where atoms are crowded, as with a wrong unit of length: the search would end the process.

    :param cell: result of `periodic_cell`, (3, 3), angstrom
    :param cutoff: angstrom
    :raises PetDriverError: if they do not
    """
    count = len(system)
    inverse = np.linalg.inv(cell)
    # Neighbors of a free structure lie within a box that is one cutoff larger.
    spans = np.ptp(system.positions @ inverse, axis=0) + cutoff * np.linalg.norm(inverse, axis=0)
    volume = abs(np.linalg.det(cell)) * np.prod(np.where(system.pbc, 1.0, spans))
    neighbors = count * 4.0 / 3.0 * np.pi * cutoff**3 / volume
    if not system.pbc.any():
        neighbors = min(neighbors, count - 1.0)
    if neighbors < CROWDED:
        return
    needed = count * neighbors * _BYTES_PER_PAIR
    free = free_memory(torch.device("cpu"))
    if needed > free:
        raise PetDriverError(
            f"atoms have about {neighbors:.0f} neighbors within the cutoff, whose pairs take "
            f"{needed / 1e9:.0f} GB, and {free / 1e9:.0f} GB are free; check the density and the "
            "unit of length of the structure"
        )
