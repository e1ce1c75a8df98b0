"""Attention over the tokens of one environment, and the feed-forward part of a transformer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .twice_differentiable import silu, softmax


class FeedForward(nn.Module):
    """Two linear maps with SiLU between them, or with a gate.

    ``activation="swiglu"`` is metatrain's: ``value sigmoid(gate)``, both halves of the first map.
    """

    def __init__(self, width: int, hidden: int, activation: str) -> None:
        super().__init__()
        self.gated = activation == "swiglu"
        self.w_in = nn.Linear(width, 2 * hidden if self.gated else hidden)
        self.w_out = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to (..., width)."""
        hidden = self.w_in(x)
        if self.gated:
            value, gate = hidden.chunk(2, dim=-1)
            hidden = value * torch.sigmoid(gate)
        else:
            hidden = silu(hidden)
        result: Tensor = self.w_out(hidden)
        return result


class Attention(nn.Module):
    """Multi-head self-attention in which each key is weighted by its cutoff factor.

    Adding ``log f`` to the logits equals multiplying the weights by ``f`` and renormalizing (arXiv
    2305.19302); a token with f = 0, a padded one included, gets no attention. The centre
    token has f = 1, so the sum never vanishes.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.input_linear = nn.Linear(width, 3 * width)
        self.output_linear = nn.Linear(width, width)

    def forward(self, tokens: Tensor, log_factors: Tensor) -> Tensor:
        """Values of the tokens, averaged with the attention weights of each token.

        :param tokens: (n_samples, n_tokens, width)
        :param log_factors: (n_samples, n_tokens), logarithm of the factor of each token as a key
        :return: (n_samples, n_tokens, width)
        """
        samples, count, width = tokens.shape
        split = self.input_linear(tokens).view(samples, count, 3, self.heads, width // self.heads)
        # One copy for all three, which the products would make of each.
        query, key, value = split.permute(2, 0, 3, 1, 4).contiguous().unbind(0)
        scale = (width // self.heads) ** -0.5
        logits = (query * scale) @ key.transpose(-2, -1) + log_factors[:, None, None, :]
        mixed = softmax(logits) @ value
        result: Tensor = self.output_linear(mixed.transpose(1, 2).reshape(samples, count, width))
        return result
