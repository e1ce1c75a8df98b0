"""Parts of the network that only models trained by other programs use.

Besides `Conditioning` these are a transformer layer that replaces the centre token, and two ways to
read out of edges.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..frames.average import in_parts
from .hyperparameters import Hyperparameters
from .output import LayerOutput
from .pass_options import PassOptions
from .readout import Readout, SampleFeatures
from .tokens import MASKED_LOGIT, EdgeGeometry
from .transformer_layer import TransformerLayer


class BareCentreLayer(TransformerLayer):
    """Transformer layer of metatrain with order "pre" and equal widths.

    The centre token is replaced by the output of its attention, without residual and feed-forward.
    """

    def forward(self, node: Tensor, edges: Tensor, log_factors: Tensor) -> tuple[Tensor, Tensor]:
        """Update node and edges; parameters as in `TransformerLayer`."""
        tokens = torch.cat([node[:, None, :], edges], dim=1)
        update = self.attention(self.norm_attention(tokens), log_factors)
        centre, of_edges = self.parted(update)
        return centre, self.updated_edges(edges, of_edges)


class SuddenBondReadout(Readout):
    """Readout in which the energy of an edge ends at the cutoff without its cutoff factor.

    As in the original code before 2024.
    """

    def edge_weights(self, geometry: EdgeGeometry) -> Tensor:
        """1 for each neighbor, 0 for padding: (n_samples, n_neighbors)."""
        return (geometry.log_factors > 0.5 * MASKED_LOGIT).to(geometry.factors.dtype)


class FinalCombinationReadout(Readout):
    """Readout of nodes in the last layer, and of edges after one more exchange of their messages.

    Edges that are read out after their exchange are averages over frames, invariants, from which no
    vector can be read out: covariant properties are available in plain evaluation only.
    """

    def property_names(self, plain: bool) -> list[str]:
        """Names of the properties that are available, see `Readout.property_names`."""
        return super().property_names(plain) if plain else []

    def energies(self, of: SampleFeatures) -> Tensor:
        """Energies of the nodes alone, (n_samples,)."""
        energies: Tensor = self.node(of.node)
        return energies

    def property_value(self, name: str, of: SampleFeatures) -> Tensor:
        """Property of the nodes alone, (n_samples, 3) or (n_samples, 3, 3)."""
        return self.properties[name].of_nodes(of.node)

    def features(self, of: SampleFeatures) -> Tensor:
        """Inputs of the last layer of the node head, (n_samples, head_width)."""
        return self.node.hidden(of.node)

    def of_edges(
        self, messages: Tensor, factors: Tensor, plain: bool, options: PassOptions
    ) -> LayerOutput:
        """What is read out of the edges after the last exchange.

        :param messages: (n_centres, n_neighbors, width)
        :param factors: (n_centres, n_neighbors), cutoff factors
        :param plain: evaluated without frames
        """

        def energies(edges: Tensor, factors: Tensor) -> Tensor:
            values: Tensor = self.edge(edges)
            return (factors * values).sum(1)

        output = LayerOutput(in_parts(energies, options.chunk, messages, factors))
        for name in self.property_names(plain):
            head = self.properties[name]
            output.properties[name] = in_parts(head.of_edges, options.chunk, messages, factors)
        if options.features:
            output.features = (factors[..., None] * self.edge.hidden(messages)).sum(1)
        return output


def transformer_layer(hyper: Hyperparameters) -> TransformerLayer:
    """Transformer layer of the kind that the hyperparameters ask for."""
    narrow = hyper.order == "pre" and hyper.node_width == hyper.width
    return (BareCentreLayer if hyper.foreign.bare_centre and narrow else TransformerLayer)(hyper)
