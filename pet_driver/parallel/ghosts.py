"""Which atoms of other ranks a rank's ghosts are, to ask about them and to bring home what they
gathered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..errors import PetDriverError
from .collectives import agree, alltoallv, owners
from .transport import Transport

if TYPE_CHECKING:
    from mpi4py import MPI


@dataclass
class GhostOwners:
    """Ghosts sorted by the rank that owns them, and what their owners know of this.

    ghosts: (n_ghosts,), indices into local atoms and ghosts; local: (n_received,), index of the
    local atom for each row that other ranks' ghosts bring; send_counts, receive_counts: (n_ranks,).
    Ghosts of this rank's own atoms are the last and go nowhere.
    """

    comm: MPI.Comm
    n_local: int
    ghosts: np.ndarray
    own: np.ndarray
    local: np.ndarray
    send_counts: np.ndarray
    receive_counts: np.ndarray

    @classmethod
    def find(cls, comm: MPI.Comm, ids: np.ndarray, n_local: int, ghosts: np.ndarray) -> GhostOwners:
        """Collective.

        :param ids: (n_local + n_ghosts,); ghosts: indices of those that matter
        :raises PetDriverError: on every rank, if a ghost belongs to no rank
        """
        owner = owners(comm, ids[:n_local], ids[ghosts])
        error = None
        if (owner < 0).any():
            lost = ids[ghosts][owner < 0][0]
            error = PetDriverError(
                f"ghost atom {lost} belongs to no rank; give all atoms unique ids"
            )
        agree(comm, error)
        elsewhere = owner != comm.rank
        order = np.argsort(owner[elsewhere], kind="stable")
        sent = ghosts[elsewhere][order]
        counts = np.bincount(owner[elsewhere], minlength=comm.size)
        received_counts = np.empty_like(counts)
        comm.Alltoall(counts, received_counts)
        asked = alltoallv(comm, ids[sent][:, None].astype(np.float64), counts)[:, 0]
        sorting = np.argsort(ids[:n_local])

        def local_atoms(wanted: np.ndarray) -> np.ndarray:
            return sorting[np.searchsorted(ids[:n_local], wanted, sorter=sorting)]

        own = ghosts[~elsewhere]
        return cls(
            comm,
            n_local,
            np.concatenate([sent, own]),
            local_atoms(ids[own]),
            local_atoms(asked.astype(np.int64)),
            counts,
            received_counts,
        )

    def ask(self, values: np.ndarray) -> np.ndarray:
        """(n_local + ..., k) values of the atoms to those of the owners of each ghost, (n_ghosts,
        k). Collective.
        """
        answers = values[self.local].astype(np.float64)
        received = alltoallv(self.comm, answers, self.receive_counts)
        return np.concatenate([received, values[self.own].astype(np.float64)])

    def bring_home(self, atoms: Tensor, transport: Transport) -> Tensor:
        """(n_local + n_ghosts, k) values to (n_local, k): those of ghosts are added to their atoms.
        Collective.
        """
        sent = int(self.send_counts.sum())
        ghosts, own, local = (
            torch.as_tensor(x, device=atoms.device) for x in (self.ghosts, self.own, self.local)
        )
        received = transport.exchange(atoms.index_select(0, ghosts[:sent]))
        home = atoms[: self.n_local].index_add(0, local, received)
        return home.index_add(0, own, atoms.index_select(0, ghosts[sent:]))
