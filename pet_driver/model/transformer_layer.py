"""The transformer layer over one centre token and its neighbor tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .attention import Attention, FeedForward
from .hyperparameters import Hyperparameters
from .normalizations import NORMALIZATIONS


class TransformerLayer(nn.Module):
    """Attention and feed-forward over one centre token and its neighbor tokens.

    With ``order="pre"`` the input of each sub-layer is normalized, with ``order="post"`` its output
    is. Where the node features are wider than the tokens (``node_width != width``) they are
    contracted for attention, expanded again, and have a feed-forward of their own.
    """

    def __init__(self, hyper: Hyperparameters) -> None:
        super().__init__()
        width, node_width = hyper.width, hyper.node_width
        norm = NORMALIZATIONS[hyper.normalization]
        self.pre = hyper.order == "pre"
        self.attention = Attention(width, hyper.heads)
        self.norm_attention = norm(width)
        self.norm_mlp = norm(width)
        self.mlp = FeedForward(width, hyper.feedforward_width, hyper.activation)
        self.wide = node_width != width
        if self.wide:
            self.center_contraction = nn.Linear(node_width, width)
            self.center_expansion = nn.Linear(width, node_width)
            self.norm_center_features = norm(node_width)
            self.center_mlp = FeedForward(node_width, 2 * node_width, hyper.activation)

    def forward(self, node: Tensor, edges: Tensor, log_factors: Tensor) -> tuple[Tensor, Tensor]:
        """Update node and edges.

        :param node: (n_samples, node_width)
        :param edges: (n_samples, n_neighbors, width)
        :param log_factors: (n_samples, 1 + n_neighbors), 0 for the centre
        :return: node and edges, same shapes
        """
        centre = self.center_contraction(node) if self.wide else node
        tokens = torch.cat([centre[:, None, :], edges], dim=1)
        if not self.pre:
            tokens = self.norm_attention(tokens + self.attention(tokens, log_factors))
            tokens = self.norm_mlp(tokens + self.mlp(tokens))
            centre, edges = self.parted(tokens)
            return (self._expanded(node, centre) if self.wide else centre), edges
        update = self.attention(self.norm_attention(tokens), log_factors)
        if self.wide:
            of_centre, of_edges = self.parted(update)
            return self._expanded(node, of_centre), self.updated_edges(edges, of_edges)
        tokens = tokens + update
        tokens = tokens + self.mlp(self.norm_mlp(tokens))
        return self.parted(tokens)

    @staticmethod
    def parted(tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Centre tokens, (n_samples, width), and those of edges, (n_samples, n_neighbors, width).

        The backward pass of a split is one copy; two slices would each fill a table with zeros.
        """
        centre, edges = torch.split(tokens, [1, tokens.shape[1] - 1], dim=1)
        return centre.squeeze(1), edges

    def updated_edges(self, edges: Tensor, update: Tensor) -> Tensor:
        """Edges with their update by attention and their feed-forward, order "pre"."""
        edges = edges + update
        result: Tensor = edges + self.mlp(self.norm_mlp(edges))
        return result

    def _expanded(self, node: Tensor, centre: Tensor) -> Tensor:
        """Wide node features, updated from the centre token."""
        node = node + self.center_expansion(centre)
        result: Tensor = node + self.center_mlp(self.norm_center_features(node))
        return result
