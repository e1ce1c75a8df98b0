"""The optimizer: AdamW, or Muon for the matrices between hidden layers."""

from __future__ import annotations

from typing import Any

import torch

from .muon import Muon
from .options import FitOptions

_BETA1 = 0.9  # decay of AdamW's mean gradient, torch's default
_OPTIONS = ("weight_decay", "betas")  # of the options file, not of the state
_NOT_HIDDEN = ("embedder",)  # embeddings of elements and coordinates


class Optimizer:
    """One or two optimizers of torch that change the weights together.

    Muon is meant for matrices between hidden layers; AdamW changes all other weights. Both take the
    same learning rate.
    """

    def __init__(self, network: torch.nn.Module, fit: FitOptions) -> None:
        self.rate = fit.learning_rate
        decay, betas = fit.weight_decay, (_BETA1, fit.adamw_beta2)
        named = dict(network.named_parameters())
        hidden = [p for name, p in named.items() if _is_hidden(name, p)]
        if fit.optimizer == "adamw":
            self.parts: list[torch.optim.Optimizer] = [
                torch.optim.AdamW(named.values(), self.rate, betas, weight_decay=decay)
            ]
            return
        others = [p for name, p in named.items() if not _is_hidden(name, p)]
        self.parts = [
            torch.optim.AdamW(others, self.rate, betas, weight_decay=decay),
            Muon(hidden, self.rate, decay),
        ]

    def zero_grad(self) -> None:
        """Remove the gradients of all weights."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def step(self, share: float) -> None:
        """Change the weights.

        :param share: factor of the learning rate of the options
        """
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = self.rate * share
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """State of all parts, for `load_state_dict`."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the state of another optimizer of the same kind.

        :raises ValueError: if the state is that of other weights or of another kind of optimizer
        """
        for part, found in zip(self.parts, state["parts"], strict=True):
            options = [
                {key: group[key] for key in _OPTIONS if key in group} for group in part.param_groups
            ]
            part.load_state_dict(found)
            for group, given in zip(part.param_groups, options, strict=True):
                group.update(given)  # torch takes those of the state


def _is_hidden(name: str, parameter: torch.nn.Parameter) -> bool:
    return (
        parameter.ndim == 2
        and min(parameter.shape) > 1
        and not any(word in name for word in _NOT_HIDDEN)
    )
