"""Point Edge Transformer (arXiv 2305.19302): one network with the paper's block and the modern one
as options.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..frames.average import average_over_frames, in_parts
from ..frames.frame_set import FrameSet
from ..frames.rotations import rotate_back
from .attention import NORMALIZATIONS
from .conditioning import Conditioning
from .cutoffs import CUTOFF_FUNCTIONS, radial_waves
from .hyperparameters import Hyperparameters
from .message_layer import Combination, MessageLayer, Tokens
from .network_input import LayerMap, MessageExchange, NetworkInput
from .output import Output, summed
from .readout import Head, PropertyHead, without_direction_when_alone

_INVISIBLE = -1e9  # logit of a padded token: its attention weight underflows to exactly zero


class PET(nn.Module):
    """Energies of atoms from their neighborhoods.

    Every centre is evaluated in each of its frames; what it passes on and reads out is the weighted
    average, an invariant, which neighbors with other frames can consume ("layer" scope). Without
    frames it is the plain, unconstrained PET.
    """

    def __init__(self, hyper: Hyperparameters) -> None:
        super().__init__()
        self.hyper = hyper
        species, width = len(hyper.species), hyper.width
        self.modern = hyper.block == "modern"
        self.message_embedder = nn.Embedding(species, width)
        self.layers = nn.ModuleList(
            MessageLayer(hyper, first=k == 0) for k in range(hyper.message_layers)
        )
        readouts = 1 if self.modern else hyper.message_layers
        self.node_heads = nn.ModuleList(
            Head(hyper.node_width, hyper.head_width) for _ in range(readouts)
        )
        self.edge_heads = nn.ModuleList(Head(width, hyper.head_width) for _ in range(readouts))
        self.property_heads = nn.ModuleDict(
            {
                name: nn.ModuleList(
                    PropertyHead(hyper.node_width, width, hyper.head_width, rank)
                    for _ in range(readouts)
                )
                for name, rank in hyper.properties
            }
        )
        mixing = hyper.exchanges if self.modern else 0
        norm = NORMALIZATIONS[hyper.combination_normalization or hyper.normalization]
        self.combination_norms = nn.ModuleList(norm(2 * width) for _ in range(mixing))
        self.combination_mlps = nn.ModuleList(Combination(width) for _ in range(mixing))
        self.conditioning = None
        if hyper.largest_spin:
            self.conditioning = Conditioning(
                hyper.node_width, hyper.largest_charge, hyper.largest_spin
            )

    def forward(
        self,
        neighborhoods: NetworkInput,
        rows: FrameSet | Callable[[], FrameSet] | None,
        exchange: MessageExchange | Sequence[LayerMap],
        chunk: int | None = None,
        spread: bool = False,
        fade: bool = True,
        features: bool = False,
    ) -> Output:
        """
        :param rows: frames of the centres; or a function called anew for each layer, to draw some;
            or None for plain PET
        :param exchange: maps (n_centres, n_neighbors, width) messages on edges i-j to those on the
            reversed edges j-i; or one hop for each step from layer to layer, the results being
            those of the centres that the last one keeps
        :param chunk: with more rows than this, evaluate so many at a time and recompute them in the
            backward pass; None: keep all
        :param spread: also return the variance over frames
        :param fade: take vectors and tensors of an atom smoothly back as its last neighbor leaves
        :param features: also return what the last layers of the energy's heads take
        """
        tokens = self._tokens(neighborhoods)
        kinds, neighbor_kinds = neighborhoods.centre_species, neighborhoods.neighbor_species
        messages = self.message_embedder(neighbor_kinds) * neighborhoods.valid[..., None]
        hops = None if callable(exchange) else exchange
        node, shift = None, None
        if self.conditioning is not None:
            shift = self.conditioning(neighborhoods.charge_and_spin)
        outputs = []
        for k, layer in enumerate(self.layers):
            if layer.node_embedder is not None:
                node = layer.node_embedder(kinds)
            invariant = in_parts(
                layer.invariant_part, chunk, neighbor_kinds, messages, tokens.waves
            )
            layer_rows = rows() if callable(rows) else rows
            output, node, outgoing = self._layer(
                k, tokens, invariant, node, shift, layer_rows, chunk, spread, features
            )
            outputs.append(output)
            if outgoing is None:
                break
            incoming = (exchange if hops is None else hops[k].exchange)(outgoing)
            if hops is not None:
                keep = hops[k].keep
                tokens, outputs = tokens.select(keep), [x.select(keep) for x in outputs]
                rows = rows.select(keep) if isinstance(rows, FrameSet) else rows
                shift = shift if shift is None else shift.index_select(0, keep)
                kinds, neighbor_kinds, messages, node, outgoing = (
                    x.index_select(0, keep)
                    for x in (kinds, neighbor_kinds, messages, node, outgoing)
                )
            combine = functools.partial(self._combine, k)
            messages = in_parts(combine, chunk, messages, outgoing, incoming)
        if self.hyper.final_combination:
            outputs.append(self._read_edges(tokens, messages, rows is None, chunk, features))
        properties = {
            name: summed(output.properties.get(name) for output in outputs)
            for name in self.property_heads
            if any(name in output.properties for output in outputs)
        }
        if fade:
            properties = {
                name: without_direction_when_alone(x, tokens.factors)
                for name, x in properties.items()
            }
        return Output(
            summed(output.energies for output in outputs),
            properties,
            summed(output.energy_spread for output in outputs),
            summed(output.message_spread for output in outputs),
            torch.cat([x.features for x in outputs if x.features is not None], 1)
            if features
            else None,
        )

    def _tokens(self, neighborhoods: NetworkInput) -> Tokens:
        """Geometry in the dtype of the weights; the cutoff factors are computed in float64."""
        dtype = self.message_embedder.weight.dtype
        valid = neighborhoods.valid
        vectors = torch.where(valid[..., None], neighborhoods.vectors, 1.0)
        lengths = torch.linalg.vector_norm(vectors, dim=-1)
        cutoff = CUTOFF_FUNCTIONS[self.hyper.cutoff_function]
        cutoffs = self.hyper.cutoff if neighborhoods.cutoffs is None else neighborhoods.cutoffs
        factors, log_factors = cutoff(lengths, cutoffs, self.hyper.cutoff_width)
        factors = torch.where(valid, factors, 0.0)
        log_factors = torch.where(valid, log_factors, _INVISIBLE)
        waves = None
        if self.hyper.radial_waves:
            waves = radial_waves(lengths, self.hyper.cutoff, self.hyper.radial_waves).to(dtype)
        counts = valid.sum(1)
        return Tokens(
            vectors, lengths.to(dtype), factors.to(dtype), log_factors.to(dtype), waves, counts
        )

    def _layer(
        self,
        k: int,
        tokens: Tokens,
        invariant: Tensor,
        node: Tensor,
        shift: Tensor | None,
        rows: FrameSet | None,
        chunk: int | None,
        spread: bool,
        features: bool,
    ) -> tuple[Output, Tensor | None, Tensor | None]:
        """One layer in all frames, averaged over the frames of each centre.

        :param shift: (n_centres, node_width), added to what the layer makes of the nodes
        :return: what the layer reads out, and node and outgoing messages for the next layer (None
            after the last)
        """
        layer, width = self.layers[k], tokens.lengths.shape[1]
        last = k == len(self.layers) - 1
        sends = not last or self.hyper.final_combination
        read = 0 if self.modern else k
        reads = last or not self.modern

        def evaluate(
            frames: Tensor | None, edge_tables: Sequence[Tensor], node: Tensor
        ) -> list[Tensor]:
            vectors, lengths, factors, log_factors, invariant = edge_tables
            if frames is not None:
                vectors = vectors @ frames
            some = Tokens(vectors.to(lengths.dtype), lengths, factors, log_factors)
            node, *shifts = node.split(self.hyper.node_width, dim=1)
            node, edges = layer(some, invariant, node)
            node = sum(shifts, start=node)
            results = []
            if reads:
                energies = self.node_heads[read](node)
                if not (last and sends):
                    share = self._bond_share(factors, log_factors)
                    energies = energies + (share * self.edge_heads[read](edges)).sum(1)
                results.append(energies)
                for heads in self._readable(last and sends, frames is None):
                    values = heads[read](node, None if last and sends else edges, factors)
                    turn = None if frames is None else frames.to(values.dtype)
                    results.append(values if turn is None else rotate_back(values, turn))
            if reads and features:
                parts = [self.node_heads[read].hidden(node)]
                if not (last and sends):
                    parts.append((share[..., None] * self.edge_heads[read].hidden(edges)).sum(1))
                results.append(torch.cat(parts, dim=1))
            if sends:
                padding = (0, 0, 0, width - edges.shape[1])
                results += [node, nn.functional.pad(edges, padding)]
            return results

        geometry = (tokens.vectors, tokens.lengths, tokens.factors, tokens.log_factors)
        nodes = node if shift is None else torch.cat([node, shift], dim=1)
        averages, variances = average_over_frames(
            evaluate, (*geometry, invariant), nodes, tokens.neighbors, rows, chunk, spread
        )
        output = Output(averages[0] if reads else None)
        if reads:
            names = self.property_heads if self._readable(last and sends, rows is None) else ()
            output.properties = dict(zip(names, averages[1:], strict=False))
            output.features = averages[1 + len(names)] if features else None
        if spread:
            output.energy_spread = variances[0] if reads else None
            if sends:
                messages = (variances[-1].mean(-1) * tokens.factors).sum(1)
                output.message_spread = variances[-2].mean(-1) + messages
        return (output, averages[-2], averages[-1]) if sends else (output, None, None)

    def _readable(self, edges_later: bool, plain: bool) -> list[nn.ModuleList]:
        """Heads of the properties that can be had. Edges that are read after their exchange are
        averages over frames, invariants, which no vector can be made of."""
        return [] if edges_later and not plain else list(self.property_heads.values())

    def _read_edges(
        self, tokens: Tokens, messages: Tensor, plain: bool, chunk: int | None, features: bool
    ) -> Output:
        """What is read out of the edges after the last exchange."""

        def energies(edges: Tensor, factors: Tensor) -> Tensor:
            return (factors * self.edge_heads[0](edges)).sum(1)

        output = Output(in_parts(energies, chunk, messages, tokens.factors))
        for name, heads in self.property_heads.items() if plain else ():
            output.properties[name] = in_parts(heads[0].of_edges, chunk, messages, tokens.factors)
        if features:
            hidden = self.edge_heads[0].hidden(messages)
            output.features = (tokens.factors[..., None] * hidden).sum(1)
        return output

    def _bond_share(self, factors: Tensor, log_factors: Tensor) -> Tensor:
        """What the energy of an edge is multiplied by: its cutoff factor."""
        if not self.hyper.sudden_bonds:
            return factors
        return (log_factors > 0.5 * _INVISIBLE).to(factors.dtype)

    def _combine(self, k: int, messages: Tensor, outgoing: Tensor, incoming: Tensor) -> Tensor:
        """Messages of the next layer from what both ends of each edge have sent."""
        if not self.modern:
            return 0.5 * (messages + incoming)
        both = self.combination_norms[k](torch.cat([outgoing, incoming], dim=-1))
        return messages + outgoing + self.combination_mlps[k](both)
