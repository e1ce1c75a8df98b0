"""Choice of the domain that a scope needs on several ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ..errors import PetDriverError
from ..model import Hyperparameters
from ..parallel import Domain, ExchangeDomain, WideDomain

if TYPE_CHECKING:
    from mpi4py import MPI

HALOS = ("exchange", "wide")


def open_domain(
    hyper: Hyperparameters,
    scope: str,
    device: torch.device,
    comm: MPI.Comm,
    halo: str,
    skin: float,
) -> Domain:
    """Open one rank's share of a structure that is spread over the ranks of a communicator.

    Collective.

    :param hyper: of the network
    :param scope: of the evaluation
    :param device: of the graphs
    :param comm: communicator of the ranks that share the structure
    :param halo: "exchange": ghosts are one cutoff deep and ranks exchange messages; "wide": ghosts
        are ``hyper.depth`` cutoffs deep and are evaluated on every rank that has them; the scope
        "atom" on several ranks always takes the latter
    :param skin: angstrom, see `Domain`
    :raises PetDriverError: if halo is unknown, or the scope needs all atoms on one rank
    """
    if halo not in HALOS:
        raise PetDriverError(f"halo is {halo!r}; choose one of {', '.join(HALOS)}")
    wide = halo == "wide" or (scope == "atom" and comm.size > 1)
    if scope == "structure" and (wide or comm.size > 1):
        raise PetDriverError(
            f"scope 'structure' needs all atoms on one rank, without a wide halo, and there are "
            f"{comm.size} ranks; run on one or use scope layer"
        )
    if wide:
        return WideDomain(comm, hyper.neighbor_cutoff, hyper.depth, skin, device)
    return ExchangeDomain(comm, hyper.neighbor_cutoff, skin, device)
