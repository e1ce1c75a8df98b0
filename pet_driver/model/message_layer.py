"""One round of message passing: tokens from geometry, their transformer, and update of messages."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .foreign_layers import transformer_layer
from .hyperparameters import Hyperparameters
from .normalizations import NORMALIZATIONS
from .tokens import EdgeGeometry
from .twice_differentiable import SiLU, silu


class MessageLayer(nn.Module):
    """One round of message passing: tokens of geometry, species and messages attend to each other.

    The centre is one token, each neighbor another.
    """

    def __init__(self, hyper: Hyperparameters, first: bool) -> None:
        super().__init__()
        species, width = len(hyper.species), hyper.width
        blended = hyper.foreign.neighbor_species
        blended = hyper.modern if blended is None else blended
        self.edge_embedder = nn.Linear(4, width)
        self.neighbor_embedder = nn.Embedding(species, width) if blended and not first else None
        self.node_embedder = (
            nn.Embedding(species, hyper.node_width) if first or not hyper.modern else None
        )
        waves = hyper.radial_waves
        self.wave_embedder = nn.Linear(waves, width, bias=False) if waves else None
        parts = 3 if self.neighbor_embedder is not None else 2
        self.compress_in = nn.Linear(parts * width, width)
        self.compress_out = nn.Linear(width, width)
        self.transformer = nn.ModuleList(
            transformer_layer(hyper) for _ in range(hyper.attention_layers)
        )
        self.final_norm = NORMALIZATIONS[hyper.normalization](width) if hyper.final_norm else None

    def node_features(self, species: Tensor, carried: Tensor | None) -> Tensor:
        """Node features that the layer begins with: embedded species, or those carried along.

        :param species: (n_centres,), species indices
        :param carried: (n_centres, node_width), of the layer before; None: the layer is the first
        :return: (n_centres, node_width)
        :raises ValueError: if the layer is not the first and nothing is carried along
        """
        if self.node_embedder is not None:
            embedded: Tensor = self.node_embedder(species)
            return embedded
        if carried is None:
            raise ValueError(
                "this layer has no embedding of nodes; give it those of the layer before"
            )
        return carried

    def invariant_part(
        self, neighbor_species: Tensor, messages: Tensor, waves: Tensor | None
    ) -> Tensor:
        """Contribution to the first compression that no frame changes.

        It is computed once per centre, not once per frame.

        :param neighbor_species: (n_centres, n_neighbors), species indices
        :param messages: (n_centres, n_neighbors, width)
        :param waves: (n_centres, n_neighbors, n_waves), if the model has sine waves
        :return: (n_centres, n_neighbors, width)
        """
        features = [messages]
        if self.neighbor_embedder is not None:
            features.insert(0, self.neighbor_embedder(neighbor_species))
        width = self.edge_embedder.out_features
        weight = self.compress_in.weight
        bias = torch.addmv(self.compress_in.bias, weight[:, :width], self.edge_embedder.bias)
        joined = torch.cat(features, dim=-1) if len(features) > 1 else messages
        result = nn.functional.linear(joined, weight[:, width:], bias)
        if self.wave_embedder is None or waves is None:
            return result
        return _added_map(result, waves, weight[:, :width] @ self.wave_embedder.weight)

    def invariant_maps(self) -> tuple[Tensor, Tensor | None, Tensor]:
        """The same as maps of messages and of waves, and as a table over species.

        :return: (width, width); (width, n_waves), None without waves; and (n_species, width), or
            (width,) where the neighbor's species does not matter
        """
        width = self.edge_embedder.out_features
        weight = self.compress_in.weight
        bias = torch.addmv(self.compress_in.bias, weight[:, :width], self.edge_embedder.bias)
        if self.neighbor_embedder is not None:
            bias = torch.addmm(bias, self.neighbor_embedder.weight, weight[:, width:-width].t())
        waves = self.wave_embedder
        of_waves = None if waves is None else weight[:, :width] @ waves.weight
        return weight[:, -width:], of_waves, bias

    def coordinate_map(self) -> Tensor:
        """Map of the coordinates of an edge to their contribution to the first compression.

        :return: (width, 4)
        """
        width = self.edge_embedder.out_features
        return self.compress_in.weight[:, :width] @ self.edge_embedder.weight

    def forward(
        self, geometry: EdgeGeometry, invariant: Tensor, node: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Node features and outgoing messages.

        :param geometry: of the samples, the displacements in the frame of each
        :param invariant: (n_samples, n_neighbors, width), see `invariant_part`
        :param node: (n_samples, node_width)
        :return: node (n_samples, node_width) and messages (n_samples, n_neighbors, width)
        """
        coordinates = geometry.coordinates()
        edges = self.compress_out(silu(_added_map(invariant, coordinates, self.coordinate_map())))
        log_factors = nn.functional.pad(geometry.log_factors, (1, 0))
        for layer in self.transformer:
            node, edges = layer(node, edges, log_factors)
        if self.final_norm is not None:
            node, edges = self.final_norm(node), self.final_norm(edges)
        return node, edges


def _added_map(base: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """``base + x @ weight.T`` in one operation.

    :param base: (n, n_neighbors, width)
    :param x: (n, n_neighbors, n_features)
    :param weight: (width, n_features)
    """
    return torch.addmm(base.flatten(0, 1), x.flatten(0, 1), weight.t()).view_as(base)


class Combination(nn.Module):
    """Update of an edge from the messages of both its ends."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * width, 2 * width), SiLU(), nn.Linear(2 * width, width)
        )

    def forward(self, both: Tensor) -> Tensor:
        """Map (..., 2 width), normalized messages of both ends, to (..., width)."""
        result: Tensor = self.layers(both)
        return result
