"""What is computed once per edge between layers, with frozen weights; see `frozen_blocks`.

The edges are taken in runs whose intermediate results stay in the cache of a core.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .frozen_blocks import ROWS, FrozenChain, Tape, joined


class FrozenCombination:
    """Update of an edge from the messages of both its ends: their mixture, added to two of them.

    :param layers: linear maps with SiLU between them; norm: before them
    """

    def __init__(self, layers: nn.Sequential, norm: nn.Module) -> None:
        self.chain = FrozenChain.of(layers, norm)

    def __call__(self, messages: Tensor, outgoing: Tensor, incoming: Tensor) -> Tensor:
        """Messages of the next layer, all (n_centres, n_neighbors, width); recorded by autograd."""
        found: Tensor = _Combined.apply(  # type: ignore[no-untyped-call]
            self.chain, messages, outgoing, incoming
        )
        return found


class FrozenInvariantPart:
    """Sum of linear maps of messages and of sine waves, and of a table over species.

    :param of_messages: (width, width); of_waves: (width, n_waves), None: no waves
    :param of_species: (n_species, width), the bias included; or (width,) if species do not matter
    """

    def __init__(self, of_messages: Tensor, of_waves: Tensor | None, of_species: Tensor) -> None:
        self.of_messages, self.of_species = of_messages.detach(), of_species.detach()
        self.of_waves = None if of_waves is None else of_waves.detach()

    def __call__(self, species: Tensor, messages: Tensor, waves: Tensor | None) -> Tensor:
        """Contribution to the first compression, as of `MessageLayer.invariant_part`."""
        found: Tensor = _Invariant.apply(  # type: ignore[no-untyped-call]
            self, species, messages, waves
        )
        return found


class _Combined(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        chain: FrozenChain,
        *inputs: Tensor,
    ) -> Tensor:
        tape: Tape = []
        result = torch.empty_like(inputs[1], memory_format=torch.contiguous_format)
        runs = (torch.split(x.flatten(0, 1), ROWS) for x in (result, *inputs))
        for found, messages, outgoing, incoming in zip(*runs, strict=True):
            mixed = chain.forward(torch.cat([outgoing, incoming], dim=1), tape)
            torch.add(mixed.add_(outgoing), messages, out=found)
        ctx.chain = chain
        ctx.save_for_backward(*tape)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        tape = list(ctx.saved_tensors)
        rows = gradient.flatten(0, 1)
        of_both = torch.empty(2, *gradient.shape, dtype=gradient.dtype, device=gradient.device)
        runs = (torch.split(x, ROWS) for x in (rows, *of_both.flatten(1, 2)))
        for some, outgoing, incoming in reversed(list(zip(*runs, strict=True))):
            found = ctx.chain.backward(some, tape)
            width = some.shape[1]
            torch.add(some, found[:, :width], out=outgoing)
            incoming.copy_(found[:, width:])
        return None, gradient, of_both[0], of_both[1]


class _Invariant(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        part: FrozenInvariantPart,
        species: Tensor,
        messages: Tensor,
        waves: Tensor | None,
    ) -> Tensor:
        result = torch.empty_like(messages, memory_format=torch.contiguous_format)
        ctx.part = part
        ctx.save_for_backward()
        columns = [torch.split(x.flatten(0, 1), ROWS) for x in (result, messages)]
        kinds = torch.split(species.flatten(), ROWS)
        many = [None] * len(kinds) if waves is None else torch.split(waves.flatten(0, 1), ROWS)
        for found, some, kind, of_waves in zip(*columns, kinds, many, strict=True):
            if part.of_species.dim() == 2:
                torch.index_select(part.of_species, 0, kind, out=found)
            else:
                found.copy_(part.of_species.expand_as(found))
            found.addmm_(some, part.of_messages.t())
            if of_waves is not None and part.of_waves is not None:
                found.addmm_(of_waves, part.of_waves.t())
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        part, wanted = ctx.part, ctx.needs_input_grad
        runs = torch.split(gradient.flatten(0, 1), ROWS)
        maps = (part.of_messages, part.of_waves)
        found = [
            joined([run @ weight for run in runs]).view(*gradient.shape[:2], weight.shape[1])
            if needed
            else None
            for weight, needed in zip(maps, wanted[2:], strict=True)
        ]
        return None, None, *found
