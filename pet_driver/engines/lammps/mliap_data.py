"""What `pair_style mliap unified` hands to Python in every step, and takes back.

Without KOKKOS these are numpy arrays. With KOKKOS on a GPU they are cupy arrays in the memory of
the device, and LAMMPS' own exchange of values per atom is there; kernels run on a stream of their
own, so both sides wait for each other (LAMMPS' documentation of ML-IAP; nequip#605).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import PetDriverError

# Releases between lammps#4744 and lammps#4808 exchange wrong values, in such a way that
# trajectories look sound (mace#1306).
_WRONG_EXCHANGE = range(20251001, 20251215)
_FIRST_EXCHANGE = 20250204  # lammps#4463
_NEEDED = ("nlistatoms", "natomneigh", "ntotal", "elems", "pair_i", "jatoms", "rij")


def is_kokkos(data: Any) -> bool:  # noqa: ANN401 (LAMMPS' own class)
    """Whether the data come from `pair_style mliap/kk`."""
    return "kokkos" in type(data).__module__


def check_interface(data: Any, version: int | None = None) -> None:  # noqa: ANN401
    """
    :param version: of LAMMPS, as 20260704; None: that of its Python module
    :raises PetDriverError: if the interface is older than what is needed here, or has an exchange
        that is known to be wrong
    """
    lacking = [name for name in _NEEDED if not hasattr(type(data), name)]
    if lacking:
        raise PetDriverError(
            f"the ML-IAP of this LAMMPS does not tell {', '.join(lacking)}; use a release of 2025 "
            "or later, or pet-lmp"
        )
    if not is_kokkos(data):
        return
    if version is None:
        import lammps

        version = int(lammps.__version__)
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


def exchanged_ids(data: Any) -> np.ndarray:  # noqa: ANN401
    """(n_total,), an id for every atom that its ghosts have too, from LAMMPS' exchange. Collective
    over the ranks of the instance.
    """
    from mpi4py import MPI

    like = _as_tensor(data.elems) if data.ntotal else torch.empty(0)
    own = torch.zeros(data.ntotal, 2, dtype=torch.float64, device=like.device)
    own[: data.nlocal, 0] = MPI.COMM_WORLD.rank
    own[: data.nlocal, 1] = torch.arange(data.nlocal, dtype=torch.float64, device=like.device)
    found = torch.empty_like(own)
    _wait(own)
    data.forward_exchange(own, found, 2)
    _wait(found)
    rank, index = found.to(torch.int64).cpu().numpy().T
    return (rank << 32) + index


def hand_over(data: Any, energies: np.ndarray, gradient: Tensor) -> None:  # noqa: ANN401
    """Give LAMMPS the energies of the local atoms, (n_local,), and the gradient of their sum with
    respect to the vector of each pair, (n_pairs, 3); in LAMMPS' units.
    """
    data.energy = float(energies.sum())
    if data.nlistatoms:
        local = _host(data.iatoms)[: data.nlistatoms]
        listed = np.ascontiguousarray(energies[local])
        if is_kokkos(data):
            _as_tensor(data.eatoms).copy_(torch.as_tensor(listed))
        else:
            data.eatoms = listed
    if data.npairs:
        forces = gradient.contiguous()
        _wait(forces)
        data.update_pair_forces(forces if is_kokkos(data) else forces.numpy())


class Pairs:
    """The pairs that LAMMPS has listed, as edges sorted by centre, without atoms of type NULL.

    seen: (n_total,), whether the model sees the atom; species: of these; n_local: of these; centre,
    neighbor: (n_pairs,), indices among them; vectors: (n_pairs, 3), where LAMMPS has them.
    """

    def __init__(self, data: Any) -> None:  # noqa: ANN401
        none = np.zeros(0, dtype=np.int64)
        elements = _host(data.elems).astype(np.int64) if data.ntotal else none
        self.seen = elements >= 0
        self.species = elements[self.seen]
        self.n_all_local = data.nlocal
        self.n_local = int(self.seen[: data.nlocal].sum())
        self.n_pairs = data.npairs
        i, j, vectors = none, none, torch.zeros(0, 3, dtype=torch.float64)
        if data.npairs:
            place = np.cumsum(self.seen) - 1
            i, j = place[_host(data.pair_i)], place[_host(data.jatoms)]
            vectors = _as_tensor(data.rij)
        order = np.lexsort((j, i))
        self.centre, self.neighbor = i[order], j[order]
        self._order = torch.as_tensor(order, device=vectors.device)
        # A copy: LAMMPS' memory is valid within one call only.
        self.vectors = vectors[self._order]

    def spread(self, energies: np.ndarray) -> np.ndarray:
        """Of the atoms seen to those of all local atoms, (n_local_all,)."""
        spread = np.zeros(self.n_all_local)
        spread[self.seen[: self.n_all_local]] = energies
        return spread

    def per_pair(self, slopes: Tensor, edges: np.ndarray) -> Tensor:
        """(n_pairs, 3) in the order of LAMMPS, zero for pairs that are not among the edges."""
        table = self.vectors.new_zeros(self.n_pairs, 3)
        rows = self._order[torch.as_tensor(edges, device=table.device)]
        return table.index_copy(0, rows, slopes.to(table))


def _as_tensor(array: Any) -> Tensor:  # noqa: ANN401 (numpy or cupy)
    """The same memory."""
    tensor = torch.as_tensor(array)
    _wait(tensor)
    return tensor


def _host(array: Any) -> np.ndarray:  # noqa: ANN401
    """A copy: LAMMPS' memory is valid within one call only."""
    return np.array(_as_tensor(array).cpu().numpy())


def _wait(tensor: Tensor) -> None:
    if tensor.device.type == "cuda":
        torch.cuda.synchronize(tensor.device)
