"""Attention over the tokens of one environment, and the transformer layer built on it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .twice_differentiable import LayerNorm, silu, softmax

NORMALIZATIONS: dict[str, type[nn.Module]] = {"rms": nn.RMSNorm, "layer": LayerNorm}


class FeedForward(nn.Module):
    """Two linear maps with SiLU, or with the gated SwiGLU, between them."""

    def __init__(self, width: int, hidden: int, activation: str) -> None:
        super().__init__()
        self.gated = activation == "swiglu"
        self.w_in = nn.Linear(width, 2 * hidden if self.gated else hidden)
        self.w_out = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.w_in(x)
        if self.gated:
            value, gate = hidden.chunk(2, dim=-1)
            return self.w_out(value * torch.sigmoid(gate))
        return self.w_out(silu(hidden))


class Attention(nn.Module):
    """Multi-head self-attention in which each key is weighted by its cutoff factor.

    Adding ``log f`` to the logits equals multiplying the weights by ``f`` and renormalizing (arXiv
    2305.19302); a token with f = 0, a padded one included, is invisible. The centre token has f =
    1, so the sum never vanishes.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.input_linear = nn.Linear(width, 3 * width)
        self.output_linear = nn.Linear(width, width)

    def forward(self, tokens: Tensor, log_factors: Tensor) -> Tensor:
        """
        :param tokens: (n_rows, n_tokens, width)
        :param log_factors: (n_rows, n_tokens), logarithm of the factor of each token as a key
        :return: (n_rows, n_tokens, width)
        """
        rows, count, width = tokens.shape
        split = self.input_linear(tokens).view(rows, count, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        scale = (width // self.heads) ** -0.5
        logits = (query * scale) @ key.transpose(-2, -1) + log_factors[:, None, None, :]
        mixed = softmax(logits) @ value
        return self.output_linear(mixed.transpose(1, 2).reshape(rows, count, width))


class TransformerLayer(nn.Module):
    """Attention and feed-forward over one centre token and its neighbor tokens.

    With ``order="pre"`` the input of each sub-layer is normalized, with ``order="post"`` its output
    is. Where the node features are wider than the tokens (``node_width != width``) they are
    contracted for attention, expanded again, and have a feed-forward of their own.
    """

    def __init__(
        self,
        width: int,
        node_width: int,
        feedforward_width: int,
        heads: int,
        normalization: str,
        activation: str,
        order: str,
        bare_centre: bool = False,
    ) -> None:
        super().__init__()
        self.bare_centre = bare_centre
        norm = NORMALIZATIONS[normalization]
        self.pre = order == "pre"
        self.attention = Attention(width, heads)
        self.norm_attention = norm(width)
        self.norm_mlp = norm(width)
        self.mlp = FeedForward(width, feedforward_width, activation)
        self.wide = node_width != width
        if self.wide:
            self.center_contraction = nn.Linear(node_width, width)
            self.center_expansion = nn.Linear(width, node_width)
            self.norm_center_features = norm(node_width)
            self.center_mlp = FeedForward(node_width, 2 * node_width, activation)

    def forward(self, node: Tensor, edges: Tensor, log_factors: Tensor) -> tuple[Tensor, Tensor]:
        """
        :param node: (n_rows, node_width)
        :param edges: (n_rows, n_neighbors, width)
        :param log_factors: (n_rows, 1 + n_neighbors), 0 for the centre
        :return: updated node and edges
        """
        centre = self.center_contraction(node) if self.wide else node
        tokens = torch.cat([centre[:, None, :], edges], dim=1)
        if not self.pre:
            tokens = self.norm_attention(tokens + self.attention(tokens, log_factors))
            tokens = self.norm_mlp(tokens + self.mlp(tokens))
            centre, edges = tokens[:, 0], tokens[:, 1:]
            return (self._expanded(node, centre) if self.wide else centre), edges
        update = self.attention(self.norm_attention(tokens), log_factors)
        if not self.wide and not self.bare_centre:
            tokens = tokens + update
            tokens = tokens + self.mlp(self.norm_mlp(tokens))
            return tokens[:, 0], tokens[:, 1:]
        node = self._expanded(node, update[:, 0]) if self.wide else update[:, 0]
        edges = edges + update[:, 1:]
        return node, edges + self.mlp(self.norm_mlp(edges))

    def _expanded(self, node: Tensor, centre: Tensor) -> Tensor:
        """Wide node features, updated from the centre token."""
        node = node + self.center_expansion(centre)
        return node + self.center_mlp(self.norm_center_features(node))
