"""Energies that are differentiated as soon as they are computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.autograd.graph import saved_tensors_hooks


def differentiated_at_once(
    evaluate: Callable[..., Sequence[Tensor]], *inputs: Tensor | None
) -> list[Tensor]:
    """Results of a function of samples, the first of them their energies, with gradients ready.

    The backward pass follows the forward pass at once, while intermediate results are in the cache
    of the core; only the gradients of the inputs are kept. Other results than energies have none.

    :param evaluate: gives results of the samples, (n_samples, ...) each, from the inputs; a result
        of a sample must not depend on other samples
    :param inputs: (n_samples, ...) each, or None, which is passed on
    """
    return list(_AtOnce.apply(evaluate, *inputs))  # type: ignore[no-untyped-call]


class _AtOnce(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        evaluate: Callable[..., Sequence[Tensor]],
        *inputs: Tensor | None,
    ) -> tuple[Tensor, ...]:
        wanted = ctx.needs_input_grad[1:]
        # Inside of a part that is computed again in its backward pass, what is kept here would be
        # given up, and computed again at once.
        with torch.enable_grad(), saved_tensors_hooks(lambda x: x, lambda x: x):
            leaves = [
                None if x is None else x.detach().requires_grad_(needed)
                for x, needed in zip(inputs, wanted, strict=True)
            ]
            results = evaluate(*leaves)
            variables = [x for x in leaves if x is not None and x.requires_grad]
            gradients = torch.autograd.grad(results[0].sum(), variables, allow_unused=True)
        ctx.save_for_backward(*gradients)
        found = tuple(x.detach() for x in results)
        ctx.mark_non_differentiable(*found[1:])
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_energies: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        gradients = iter(ctx.saved_tensors)
        found: list[Tensor | None] = [None]
        for needed in ctx.needs_input_grad[1:]:
            gradient = next(gradients) if needed else None
            if gradient is not None:
                weights = of_energies.to(gradient.dtype).view(-1, *(1,) * (gradient.dim() - 1))
                gradient = gradient * weights
            found.append(gradient)
        return tuple(found)
