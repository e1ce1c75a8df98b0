"""Data that `pair_style mliap unified` gives to Python in every step, and takes back.

Without KOKKOS these are numpy arrays. With KOKKOS on a GPU they are cupy arrays in the memory of
the device, and LAMMPS' own exchange of values per atom is there; kernels run on a stream of their
own, so both sides wait for each other (LAMMPS' documentation of ML-IAP; nequip#605).
"""

from __future__ import annotations

import warnings
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...errors import PetDriverError
from ...parallel import ListedPairs

Integers = npt.NDArray[np.int64]
Array = Any  # of numpy, or of cupy with KOKKOS on a GPU
# Releases between lammps#4744 and lammps#4808 exchange wrong values, which trajectories do not
# show at a glance (mace#1306).
_WRONG_EXCHANGE = range(20251001, 20251215)
_FIRST_EXCHANGE = 20250204  # lammps#4463
_NEEDED = ("nlistatoms", "natomneigh", "ntotal", "elems", "pair_i", "jatoms", "rij")


class MliapData(Protocol):
    """Attributes of LAMMPS' own class that are used here.

    Atoms are local ones and then ghosts. A pair is listed for each neighbor of each local atom, and
    of ghosts too if `pair_style mliap unified` ends in `1`.
    """

    nlocal: int  # local atoms
    ntotal: int  # local atoms and ghosts
    nlistatoms: int  # local atoms with lists of pairs
    natomneigh: int  # atoms with lists of pairs, ghosts included
    npairs: int
    elems: Array  # (ntotal,), index of the element, -1: NULL
    iatoms: Array  # (natomneigh,), atoms with lists of pairs
    pair_i: Array  # (npairs,), centre of each pair
    jatoms: Array  # (npairs,), neighbor of each pair
    rij: Array  # (npairs, 3), from centre to neighbor
    energy: float
    eatoms: Array  # (nlistatoms,), energies of atoms, to be set

    def update_pair_forces(self, forces: Array) -> None:
        """Take the gradient of the energy, (npairs, 3)."""

    def forward_exchange(self, source: Tensor, target: Tensor, columns: int) -> None:
        """Copy values of local atoms and send them to their ghosts; only with KOKKOS."""


def is_kokkos(data: MliapData) -> bool:
    """Whether the data come from `pair_style mliap/kk`."""
    return "kokkos" in type(data).__module__


def check_interface(data: MliapData, version: int | None) -> None:
    """Check that the ML-IAP of this LAMMPS has what is needed, and exchanges right values.

    Warns where the version matters and is unknown.

    :param version: of LAMMPS, as 20260704; None: unknown
    :raises PetDriverError: if the interface is older than what is needed here, or has an exchange
        that is known to be wrong
    """
    lacking = [name for name in _NEEDED if not hasattr(type(data), name)]
    if lacking:
        raise PetDriverError(
            f"the ML-IAP of this LAMMPS lacks {', '.join(lacking)}; use a release of 2025 "
            "or later, or pet-lmp"
        )
    if not is_kokkos(data):
        return
    if version is None:
        warnings.warn(
            "the version of LAMMPS is unknown, so its exchange with KOKKOS was not checked; call "
            f"pet_register in the script, or use a LAMMPS of {_WRONG_EXCHANGE.stop} or later",
            stacklevel=2,
        )
        return
    if version < _FIRST_EXCHANGE:
        raise PetDriverError(
            f"LAMMPS {version} has no exchange in ML-IAP with KOKKOS; use {_FIRST_EXCHANGE} or "
            "later"
        )
    if version in _WRONG_EXCHANGE:
        raise PetDriverError(
            f"the exchange of LAMMPS {version} with KOKKOS is wrong (lammps#4808); use a release "
            f"from {_WRONG_EXCHANGE.stop} on"
        )


def exchanged_ids(data: MliapData) -> Integers:
    """Ids of all atoms, made here and sent to ghosts by LAMMPS' exchange. Collective.

    :return: (n_total,), the same for an atom and its ghosts
    """
    rank, index = exchanged_owners(data).cpu().numpy().T
    ids: Integers = (rank << 32) + index
    return ids


def exchanged_owners(data: MliapData) -> Tensor:
    """Rank that owns each atom and its index there, sent to ghosts by LAMMPS. Collective.

    :return: (n_total, 2), integers, on the device of LAMMPS
    """
    from mpi4py import MPI

    like = torch.as_tensor(data.elems) if data.ntotal else torch.empty(0)
    own = torch.zeros(data.ntotal, 2, dtype=torch.float64, device=like.device)
    own[: data.nlocal, 0].fill_(MPI.COMM_WORLD.rank)
    index = torch.arange(data.nlocal, dtype=torch.float64, device=like.device)
    own[: data.nlocal, 1].copy_(index)
    found = torch.empty_like(own)
    _wait(own)
    data.forward_exchange(own, found, 2)
    _wait(found)
    return found.to(torch.int64)


def listed_on_device(data: MliapData, device: torch.device) -> ListedPairs | None:
    """The pairs that LAMMPS has listed, without a copy on the host.

    All atoms must be on this rank: LAMMPS sends the indices of atoms to their ghosts.

    :param device: of the network
    :return: None: LAMMPS has no KOKKOS or works on another device, or there are atoms of type NULL
        or no pairs
    """
    if not is_kokkos(data) or not data.npairs or data.nlistatoms < data.nlocal:
        return None
    vectors = torch.as_tensor(data.rij)
    if vectors.device.type != device.type:
        return None
    owners = exchanged_owners(data)[:, 1]  # and what LAMMPS has computed before is there
    species, centre, neighbor = (
        torch.as_tensor(x).to(torch.int64) for x in (data.elems, data.pair_i, data.jatoms)
    )
    of_neighbor = owners.index_select(0, neighbor)
    return ListedPairs(species[: data.nlocal], centre, of_neighbor, vectors)


def set_results(data: MliapData, energies: npt.NDArray[np.float64], gradient: Tensor) -> None:
    """Give LAMMPS energies and gradient, in LAMMPS' units.

    :param energies: (n_local,), of the local atoms
    :param gradient: (n_pairs, 3), of the sum of the energies with respect to the pairs' vectors
    """
    data.energy = float(energies.sum())
    if data.nlistatoms:
        if is_kokkos(data):
            target, local = torch.as_tensor(data.eatoms), torch.as_tensor(data.iatoms)
            local = local[: data.nlistatoms].to(torch.int64)
            target.copy_(torch.as_tensor(energies, device=target.device).index_select(0, local))
        else:
            data.eatoms = np.ascontiguousarray(energies[data.iatoms[: data.nlistatoms]])
    forces = gradient.contiguous()
    _wait(forces)
    if data.npairs:
        data.update_pair_forces(forces if is_kokkos(data) else forces.numpy())


class MliapPairs:
    """Pairs that LAMMPS has listed, as edges sorted by centre, without atoms of type NULL.

    :ivar mapped: (n_total,), whether the type of the atom is not NULL
    :ivar species: (n_mapped,), index of the species of these atoms
    :ivar n_local: number of local ones among them
    :ivar centre: (n_pairs,), index among them
    :ivar neighbor: (n_pairs,), likewise
    :ivar vectors: (n_pairs, 3), from centre to neighbor, angstrom, on the device of LAMMPS
    """

    def __init__(self, data: MliapData) -> None:
        none = np.zeros(0, dtype=np.int64)
        i, j, vectors = none, none, torch.zeros(0, 3, dtype=torch.float64)
        elements = none
        if data.ntotal:
            elements, i, j = _copies(data.elems, data.pair_i, data.jatoms)
        self.mapped = elements >= 0
        self.species = elements[self.mapped]
        self.n_all_local = data.nlocal
        self.n_local = int(self.mapped[: data.nlocal].sum())
        self.n_pairs = data.npairs
        if data.npairs:
            # From all atoms to those of other types than NULL.
            index_map = np.cumsum(self.mapped) - 1
            i, j = index_map[i], index_map[j]
            vectors = torch.as_tensor(data.rij)
        order = np.lexsort((j, i))
        self.centre, self.neighbor = i[order], j[order]
        self._order = torch.as_tensor(order, device=vectors.device)
        # A copy: LAMMPS' memory is valid within one call only.
        self.vectors = vectors[self._order]

    def per_local_atom(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Values of all local atoms, zero for those of type NULL.

        :param values: (n_local,), of the local atoms of other types
        :return: (n_all_local,)
        """
        all_values = np.zeros(self.n_all_local)
        all_values[self.mapped[: self.n_all_local]] = values
        return all_values

    def per_pair(self, gradients: Tensor, edges: Integers) -> Tensor:
        """Gradients in the order of LAMMPS' pairs, zero for pairs that are not among the edges.

        :param gradients: (n_edges, 3)
        :param edges: (n_edges,), index of each among the sorted pairs
        :return: (n_pairs, 3)
        """
        table = self.vectors.new_zeros(self.n_pairs, 3)
        indices = self._order[torch.as_tensor(edges, device=table.device)]
        return table.index_copy(0, indices, gradients.to(table))


def _copies(*arrays: Array) -> list[Integers]:
    """Copies of LAMMPS' arrays on the host: its memory is valid within one call only.

    They leave the device together, after a wait for LAMMPS.
    """
    tensors = [torch.as_tensor(array) for array in arrays]
    _wait(tensors[0])
    together = torch.cat([x.to(torch.int64) for x in tensors]).cpu().numpy()
    return np.split(together, np.cumsum([len(x) for x in tensors])[:-1])


def _wait(tensor: Tensor) -> None:
    if tensor.device.type == "cuda":
        torch.cuda.synchronize(tensor.device)
