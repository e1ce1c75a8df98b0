"""Exchange between ranks that is under way while centres far from other ranks are evaluated.

The backward pass does the same in reverse: the gradients of what was received are sent before those
centres are evaluated and arrive after it, as autograd takes functions in the reverse order of their
recording.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..graph import PaddedNeighbors, with_zero_row
from ..model import BegunExchange, EarlyExchange, MessageExchange
from .transport import UnderWay

if TYPE_CHECKING:
    from .halo_exchange import HaloExchange


class EarlyHaloExchange(EarlyExchange):
    """A `HaloExchange` that begins when the messages of the centres next to other ranks are there.

    :param padded: table of the edges
    :param first: (n_first,), indices of the centres whose messages other ranks need
    :param at_once: the same exchange, begun and finished at once
    """

    def __init__(
        self, halo: HaloExchange, padded: PaddedNeighbors, first: Tensor, at_once: MessageExchange
    ) -> None:
        self.first = first
        self._halo, self._padded, self._at_once = halo, padded, at_once

    def __call__(self, messages: Tensor) -> Tensor:
        """Begin and finish at once."""
        return self._at_once(messages)

    def begin(self, messages: Tensor, centres: Tensor) -> BegunHaloExchange:
        """Send the messages of edges to ghosts, see `EarlyExchange.begin`."""
        padded, halo = self._padded, self._halo
        row = centres.new_zeros(padded.n_centres).index_copy(
            0, centres, torch.arange(len(centres), device=centres.device)
        )
        # Of edges of the centres in question; one more stands for an edge beyond the cutoff.
        rows = row.index_select(0, padded.centre) * padded.n_neighbors
        rows = rows + padded.slots % padded.n_neighbors
        none = rows.new_full((1,), len(centres) * padded.n_neighbors)
        send = torch.cat([rows, none]).index_select(0, halo.send)
        crossing = _Crossing(halo, send, rows.index_select(0, halo.receive))
        token: Tensor = _Begun.apply(messages.flatten(0, 1), crossing)  # type: ignore[no-untyped-call]
        return BegunHaloExchange(padded, crossing, token)


class BegunHaloExchange(BegunExchange):
    """Messages of edges to ghosts that are under way.

    :param padded: table of the edges
    :param token: empty; ties the ends of the exchange together in autograd's graph
    """

    def __init__(self, padded: PaddedNeighbors, crossing: _Crossing, token: Tensor) -> None:
        self._padded, self._crossing, self._token = padded, crossing, token

    def advance(self) -> None:
        """Let messages that are under way go on."""
        self._crossing.halo.transport.advance()

    def finish(self, messages: Tensor) -> Tensor:
        """Messages on the reversed edges, those of other ranks included."""
        edges = self._padded.flatten(messages)
        found: Tensor = _Finished.apply(edges, self._token, self._crossing)  # type: ignore[no-untyped-call]
        return self._padded.pad(found)


class _Crossing:
    """Rows that go to other ranks, and back as gradients.

    :param send: (n_remote,), rows that are sent, the number of rows for a zero
    :param receive: (n_kept,), rows of the edges whose reversed edges are received

    under_way: the exchange that was begun last, of either pass.
    """

    under_way: UnderWay

    def __init__(self, halo: HaloExchange, send: Tensor, receive: Tensor) -> None:
        self.halo, self.send, self.receive = halo, send, receive


class _Begun(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, crossing: _Crossing) -> Tensor:  # noqa: ANN401
        ctx.crossing, ctx.shape = crossing, rows.shape
        outgoing = with_zero_row(rows).index_select(0, crossing.send)
        crossing.under_way = crossing.halo.begin(outgoing)
        return rows.new_empty(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        crossing = ctx.crossing
        received = crossing.halo.received(crossing.under_way)
        return received.new_zeros(ctx.shape).index_copy_(0, crossing.receive, received), None


class _Finished(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, edges: Tensor, _: Tensor, crossing: _Crossing) -> Tensor:  # noqa: ANN401
        ctx.crossing = crossing
        return crossing.halo.completed(with_zero_row(edges), crossing.under_way)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        padded = with_zero_row(gradient)
        halo = ctx.crossing.halo
        ctx.crossing.under_way = halo.begin(padded.index_select(0, halo.send))
        return padded.index_select(0, halo.reverse), gradient.new_empty(0), None
