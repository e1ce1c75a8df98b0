"""The parts of one round of message passing: tokens from geometry, their transformer, and the
update of messages."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .attention import NORMALIZATIONS, TransformerLayer
from .hyperparameters import Hyperparameters
from .twice_differentiable import SiLU, silu


@dataclass
class Tokens:
    """What the layers need of the geometry, in the precision of the network; neighbors: their
    number for each centre.
    """

    vectors: Tensor
    lengths: Tensor
    factors: Tensor
    log_factors: Tensor
    waves: Tensor | None = None
    neighbors: Tensor | None = None

    def select(self, some: Tensor) -> Tokens:
        """The tokens of some of the centres."""
        values = (getattr(self, field.name) for field in dataclasses.fields(self))
        return Tokens(*(x if x is None else x.index_select(0, some) for x in values))


class MessageLayer(nn.Module):
    """One round of message passing: geometry, species and messages become tokens, which attend to
    each other.
    """

    def __init__(self, hyper: Hyperparameters, first: bool) -> None:
        super().__init__()
        species, width = len(hyper.species), hyper.width
        modern = hyper.block == "modern"
        blended = modern if hyper.neighbor_species is None else hyper.neighbor_species
        self.edge_embedder = nn.Linear(4, width)
        self.neighbor_embedder = nn.Embedding(species, width) if blended and not first else None
        self.node_embedder = (
            nn.Embedding(species, hyper.node_width) if first or not modern else None
        )
        waves = hyper.radial_waves
        self.wave_embedder = nn.Linear(waves, width, bias=False) if waves else None
        self.compress_in = nn.Linear(
            (3 if self.neighbor_embedder is not None else 2) * width, width
        )
        self.compress_out = nn.Linear(width, width)
        self.transformer = nn.ModuleList(
            TransformerLayer(
                width,
                hyper.node_width,
                hyper.feedforward_width,
                hyper.heads,
                hyper.normalization,
                hyper.activation,
                hyper.order,
                hyper.bare_centre,
            )
            for _ in range(hyper.attention_layers)
        )
        # The paper's PreLN option ends each stack of transformer layers with a norm.
        final = hyper.block == "paper" and hyper.order == "pre"
        if hyper.final_norm is not None:
            final = hyper.final_norm
        self.final_norm = NORMALIZATIONS[hyper.normalization](width) if final else None

    def invariant_part(
        self, neighbor_species: Tensor, messages: Tensor, waves: Tensor | None
    ) -> Tensor:
        """The share of the first compression that no frame changes, computed once per centre, not
        once per frame.

        :return: (n_centres, n_neighbors, width)
        """
        features = [messages]
        if self.neighbor_embedder is not None:
            features.insert(0, self.neighbor_embedder(neighbor_species))
        width = self.edge_embedder.out_features
        weight = self.compress_in.weight
        bias = self.compress_in.bias + weight[:, :width] @ self.edge_embedder.bias
        result = nn.functional.linear(torch.cat(features, dim=-1), weight[:, width:], bias)
        if self.wave_embedder is None:
            return result
        return result + nn.functional.linear(waves, weight[:, :width] @ self.wave_embedder.weight)

    def forward(self, tokens: Tokens, invariant: Tensor, node: Tensor) -> tuple[Tensor, Tensor]:
        """
        :param tokens: geometry of the rows, the displacements in the frame of each
        :param invariant: result of `invariant_part` for the rows
        :param node: (n_rows, node_width)
        :return: node (n_rows, node_width) and outgoing edges (n_rows, n_neighbors, width)
        """
        width = self.edge_embedder.out_features
        geometry = torch.cat([tokens.vectors, tokens.lengths[..., None]], dim=-1)
        embed = self.compress_in.weight[:, :width] @ self.edge_embedder.weight
        edges = nn.functional.linear(geometry, embed) + invariant
        edges = self.compress_out(silu(edges))
        log_factors = torch.nn.functional.pad(tokens.log_factors, (1, 0))
        for layer in self.transformer:
            node, edges = layer(node, edges, log_factors)
        if self.final_norm is not None:
            node, edges = self.final_norm(node), self.final_norm(edges)
        return node, edges


class Combination(nn.Module):
    """Update of an edge from the messages of both its ends."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * width, 2 * width), SiLU(), nn.Linear(2 * width, width)
        )

    def forward(self, both: Tensor) -> Tensor:
        return self.layers(both)
