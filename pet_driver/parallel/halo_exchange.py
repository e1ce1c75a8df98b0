"""Reverse-edge exchange between ranks: edges to ghosts have their reversed edges elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import PetDriverError
from ..graph import PaddedNeighbors, ReverseEdgeExchange, with_zero_row
from ..model import MessageExchange
from .early_exchange import EarlyHaloExchange
from .edge_pairing import EdgePairing
from .transport import Transport, UnderWay


@dataclass(frozen=True)
class HaloExchange(ReverseEdgeExchange):
    """Exchange of the edges of one rank with those of the others.

    All listed edges between two ranks take part, those beyond the cutoff with zeros. So both ranks
    send and expect the same number of values even where, by rounding, only one of them has an edge
    within the cutoff; its cutoff factor is zero. The index n_edges stands for such an edge.

    send: (n_remote,), edges whose values are sent, sorted by rank; kept: (n_kept,), which of the
    values received are for edges within the cutoff; receive: (n_kept,), these edges; reverse:
    (n_edges,), reversed edge of each edge, n_edges where another rank holds it; counts: (n_ranks,),
    number of values exchanged with each rank; transport: to the other ranks.
    """

    send: Tensor
    kept: Tensor
    receive: Tensor
    reverse: Tensor
    counts: NDArray[np.int64]
    transport: Transport

    @classmethod
    def of(
        cls,
        pairing: EdgePairing,
        active: NDArray[np.int64],
        transport: Transport,
        device: torch.device,
    ) -> HaloExchange:
        """Exchange of those of the paired edges that are within the cutoff.

        :param active: (n_edges,), indices into the paired edges
        """
        index_map = np.full(len(pairing.centre) + 1, len(active))
        index_map[active] = np.arange(len(active))
        receive = index_map[pairing.receive]
        kept = np.nonzero(receive < len(active))[0]

        def tensor(array: NDArray[np.int64]) -> Tensor:
            return torch.as_tensor(array, device=device)

        return cls(
            send=tensor(index_map[pairing.send]),
            kept=tensor(kept),
            receive=tensor(receive[kept]),
            # A reversed edge on another rank has the index -1: the last entry of the map.
            reverse=tensor(index_map[pairing.reverse[active]]),
            counts=pairing.counts,
            transport=transport,
        )

    def messages(self, padded: PaddedNeighbors) -> MessageExchange:
        """Exchange of the messages of all centres.

        On a CPU it begins early, if that leaves other centres to evaluate meanwhile. On a GPU the
        host would have to wait to know which.
        """
        at_once = super().messages(padded)
        if self.send.device.type != "cpu":
            return at_once
        none = torch.zeros(padded.n_centres, dtype=torch.bool, device=self.send.device)
        sent = self.send[self.send < len(self.reverse)]
        first = torch.nonzero(none.index_fill(0, padded.centre[sent], True)).view(-1)
        if len(first) in (0, padded.n_centres):
            return at_once
        return EarlyHaloExchange(self, padded, first, at_once)

    def begin(self, rows: Tensor) -> UnderWay:
        """Begin to send rows, (n_remote, k), sorted by rank."""
        return self.transport.begin_exchange(rows, self.counts, self.counts)

    def completed(self, padded: Tensor, under_way: UnderWay) -> Tensor:
        """Values of the reversed edges, here and from other ranks, (n_edges, k).

        :param padded: (n_edges + 1, k), values of the edges here and a zero
        """
        here = padded.index_select(0, self.reverse)
        return here.index_copy_(0, self.receive, self.received(under_way))

    def received(self, under_way: UnderWay) -> Tensor:
        """Values that other ranks have sent, (n_kept, k)."""
        return self.transport.finish(under_way).index_select(0, self.kept)

    def reversed_values(self, edges: Tensor) -> Tensor:
        """Values (n_edges, k) of the reversed edges. Collective."""
        padded = with_zero_row(edges.detach())
        return self.completed(padded, self.begin(padded.index_select(0, self.send)))

    def local_reverse(self) -> Tensor:
        """Index of the reversed edge of each edge, (n_edges,).

        :raises PetDriverError: if there are several ranks
        """
        size = self.transport.comm.size
        if size > 1:
            raise PetDriverError(
                f"this scope needs all atoms on one rank, there are {size}; run on one rank or use "
                "scope layer"
            )
        return self.reverse
