"""Heads: from the features of a centre and of its edges to energies, vectors and tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..frames.rotations import rotate_back
from .frozen_blocks import FrozenChain
from .tokens import EdgeGeometry
from .twice_differentiable import SiLU


class Head(nn.Module):
    """Numbers from features, two hidden layers with SiLU."""

    def __init__(self, width: int, hidden: int, outputs: int = 1) -> None:
        """Build the layers.

        :param width: number of features
        :param hidden: width of the hidden layers
        :param outputs: size of the last dimension of the result; with 1 there is no such dimension
        """
        super().__init__()
        self.outputs = outputs
        self.layers = nn.Sequential(
            nn.Linear(width, hidden),
            SiLU(),
            nn.Linear(hidden, hidden),
            SiLU(),
            nn.Linear(hidden, outputs),
        )

    def hidden(self, x: Tensor) -> Tensor:
        """Input of the last layer: (..., width) to (..., hidden)."""
        result: Tensor = self.layers[:-1](x)
        return result

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to (...) or (..., outputs)."""
        values: Tensor = self.layers(x)
        return values.squeeze(-1) if self.outputs == 1 else values


class FrozenHead:
    """`Head` with frozen weights.

    :param recorded: whether autograd records it; otherwise the results are constants
    """

    def __init__(self, head: Head, recorded: bool = True) -> None:
        self.hidden = head.hidden
        chain = FrozenChain.of(head.layers)
        self._outputs, self._map = head.outputs, chain if recorded else chain.values

    def __call__(self, x: Tensor) -> Tensor:
        """Map (..., width) to (...) or (..., outputs)."""
        values = self._map(x)
        return values.squeeze(-1) if self._outputs == 1 else values


class PropertyReadout:
    """A vector or a rank 2 tensor of each sample, in the coordinates of its frame.

    shape: of the property; node, edge: heads for the features of nodes and of edges.
    """

    shape: tuple[int, ...]
    node: Head | FrozenHead
    edge: Head | FrozenHead

    def of_sample(self, node: Tensor, edges: Tensor, factors: Tensor) -> Tensor:
        """Sum of the contributions of node and edges.

        :param node: (n_samples, node_width)
        :param edges: (n_samples, n_neighbors, width)
        :param factors: (n_samples, n_neighbors), cutoff factors
        :return: (n_samples, 3) or (n_samples, 3, 3)
        """
        return self.of_nodes(node) + self.of_edges(edges, factors)

    def of_nodes(self, node: Tensor) -> Tensor:
        """Contribution of the nodes, (n_samples, 3) or (n_samples, 3, 3)."""
        values: Tensor = self.node(node)
        return values.view(-1, *self.shape)

    def of_edges(self, edges: Tensor, factors: Tensor) -> Tensor:
        """Contribution of the edges, (n_samples, 3) or (n_samples, 3, 3)."""
        values: Tensor = self.edge(edges)
        return (factors[..., None] * values).sum(1).view(-1, *self.shape)


class PropertyHead(nn.Module, PropertyReadout):
    """Heads of one vector or tensor."""

    node: Head
    edge: Head

    def __init__(self, node_width: int, width: int, hidden: int, rank: int) -> None:
        super().__init__()
        self.shape = (3,) * rank
        self.node = Head(node_width, hidden, 3**rank)
        self.edge = Head(width, hidden, 3**rank)


class FrozenPropertyHead(PropertyReadout):
    """`PropertyHead` with frozen weights, which gives constants: forces come from energies."""

    def __init__(self, head: PropertyHead) -> None:
        self.shape = head.shape
        self.node = FrozenHead(head.node, recorded=False)
        self.edge = FrozenHead(head.edge, recorded=False)


class SampleFeatures(NamedTuple):
    """What a layer computes for each sample, and what it is read out of.

    node: (n_samples, node_width); edges: (n_samples, n_neighbors, width); geometry: of the edges.
    """

    node: Tensor
    edges: Tensor
    geometry: EdgeGeometry


@dataclass(frozen=True)
class Readout:
    """The heads that read one layer, and how their results are combined.

    It is no module: the heads belong to the network, whose names of weights are those of files.
    """

    node: Head | FrozenHead
    edge: Head | FrozenHead
    properties: Mapping[str, PropertyReadout]

    def property_names(self, plain: bool) -> list[str]:  # noqa: ARG002 (other readouts need it)
        """Names of the properties that are read out of the layer.

        :param plain: evaluated without frames
        """
        return list(self.properties)

    def edge_weights(self, geometry: EdgeGeometry) -> Tensor:
        """Factor of the energy of each edge, (n_samples, n_neighbors): its cutoff factor."""
        return geometry.factors

    def energies(self, of: SampleFeatures) -> Tensor:
        """Energies of the samples, (n_samples,)."""
        nodes: Tensor = self.node(of.node)
        edges: Tensor = self.edge_weights(of.geometry) * self.edge(of.edges)
        return nodes + edges.sum(1)

    def property_value(self, name: str, of: SampleFeatures) -> Tensor:
        """One property in the coordinates of the frames, (n_samples, 3) or (n_samples, 3, 3)."""
        values: Tensor = self.properties[name].of_sample(of.node, of.edges, of.geometry.factors)
        return values

    def property_values(self, of: SampleFeatures, frames: Tensor | None) -> list[Tensor]:
        """Properties in the coordinates of the structure, in the order of `property_names`.

        :param frames: (n_samples, 3, 3); None: plain evaluation
        :return: (n_samples, 3) or (n_samples, 3, 3) each
        """
        values = [self.property_value(name, of) for name in self.property_names(frames is None)]
        if frames is None:
            return values
        return [rotate_back(x, frames.to(x.dtype)) for x in values]

    def features(self, of: SampleFeatures) -> Tensor:
        """Inputs of the last layers of the energy's heads, (n_samples, 2 head_width)."""
        weights = self.edge_weights(of.geometry)[..., None]
        edges = (weights * self.edge.hidden(of.edges)).sum(1)
        return torch.cat([self.node.hidden(of.node), edges], dim=1)


def without_direction_when_alone(values: Tensor, factors: Tensor) -> Tensor:
    """Fade vectors, and all of a tensor but its trace, as the last neighbors leave.

    An atom without neighbors has no direction, yet the axis towards its last neighbor stays sharp
    until that is gone. The share ``1 - prod(1 - f_c)`` is 1 as long as one neighbor is near.

    :param values: (n_centres, 3) or (n_centres, 3, 3)
    :param factors: (n_centres, n_neighbors), cutoff factors, 0 for padding
    :return: as ``values``
    """
    share = 1.0 - (1.0 - factors).prod(1)
    if values.dim() == 2:
        return share[:, None] * values
    trace = values.diagonal(dim1=1, dim2=2).sum(-1) / 3.0
    isotropic = trace[:, None, None] * torch.eye(3, dtype=values.dtype, device=values.device)
    return isotropic + share[:, None, None] * (values - isotropic)
