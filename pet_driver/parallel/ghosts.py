"""Owners of a rank's ghosts: they send values of the ghosts, and receive sums over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .collectives import alltoallv, owners, received_counts
from .transport import Transport

if TYPE_CHECKING:
    from mpi4py import MPI


@dataclass(frozen=True)
class GhostOwners:
    """Ghosts sorted by the rank that owns them; images of this rank's own atoms come last.

    ghosts: (n_ghosts,), indices into local atoms and ghosts; own: (n_own,), local atom of each of
    the last n_own ghosts; local: (n_received,), local atom of which each ghost on another rank is
    an image; send_counts: (n_ranks,), number of ghosts here that each rank owns; receive_counts:
    (n_ranks,), number of ghosts on each rank that this one owns.
    """

    comm: MPI.Comm
    n_local: int
    ghosts: NDArray[np.int64]
    own: NDArray[np.int64]
    local: NDArray[np.int64]
    send_counts: NDArray[np.int64]
    receive_counts: NDArray[np.int64]

    @classmethod
    def find(
        cls, comm: MPI.Comm, ids: NDArray[np.int64], n_local: int, ghosts: NDArray[np.int64]
    ) -> GhostOwners:
        """Find the owners of some ghosts. Collective.

        :param ids: (n_local + n_ghosts,), id of each atom, the same for all its images
        :param ghosts: (n_ghosts,), indices of these ghosts
        :raises PetDriverError: on every rank, if a ghost belongs to no rank
        """
        owner = owners(comm, ids[:n_local], ids[ghosts])
        elsewhere = owner != comm.rank
        order = np.argsort(owner[elsewhere], kind="stable")
        sent = ghosts[elsewhere][order]
        counts = np.bincount(owner[elsewhere], minlength=comm.size)
        asked = alltoallv(comm, ids[sent][:, None].astype(np.float64), counts)[:, 0]
        sorting = np.argsort(ids[:n_local])

        def local_atoms(wanted: NDArray[np.int64]) -> NDArray[np.int64]:
            return sorting[np.searchsorted(ids[:n_local], wanted, sorter=sorting)]

        own = ghosts[~elsewhere]
        return cls(
            comm,
            n_local,
            np.concatenate([sent, own]),
            local_atoms(ids[own]),
            local_atoms(asked.astype(np.int64)),
            counts,
            received_counts(comm, counts),
        )

    def ask(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values of the owner of each ghost, (n_ghosts, k). Collective.

        :param values: (n_local or more, k), of this rank's own atoms
        """
        answers = values[self.local].astype(np.float64)
        received = alltoallv(self.comm, answers, self.receive_counts)
        return np.concatenate([received, values[self.own].astype(np.float64)])

    def returned(self, atoms: Tensor, transport: Transport) -> Tensor:
        """Values (n_local, k) of this rank's own atoms, to which those of ghosts are added.

        Collective.

        :param atoms: (n_local + n_ghosts, k)
        """
        sent = int(self.send_counts.sum())
        ghosts, own, local = (
            torch.as_tensor(x, device=atoms.device) for x in (self.ghosts, self.own, self.local)
        )
        received = transport.exchange(
            atoms.index_select(0, ghosts[:sent]), self.send_counts, self.receive_counts
        )
        home = atoms[: self.n_local].index_add(0, local, received)
        return home.index_add(0, own, atoms.index_select(0, ghosts[sent:]))
