"""Point Edge Transformer (arXiv 2305.19302): one network with the paper's block and the modern one
as options.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .attention import NORMALIZATIONS
from .averaging import average_over_frames, in_parts
from .cutoffs import CUTOFF_FUNCTIONS
from .frame_rows import FrameRows
from .hyperparameters import Hyperparameters
from .message_layer import Combination, MessageLayer, Tokens
from .readout import Head, PropertyHead, turned_back, without_direction_when_alone

Exchange = Callable[[Tensor], Tensor]
_INVISIBLE = -1e9  # logit of a padded token: its attention weight underflows to exactly zero


@dataclass
class Neighborhoods:
    """Padded neighbor displacements of a set of centres.

    centre_species (n_centres,) and neighbor_species (n_centres, n_neighbors) are indices into the
    species of the model; vectors (n_centres, n_neighbors, 3) in angstrom, in float64; valid
    (n_centres, n_neighbors) is False for padding.
    """

    centre_species: Tensor
    neighbor_species: Tensor
    vectors: Tensor
    valid: Tensor


@dataclass
class Hop:
    """From one layer to the next, where only some centres go on.

    keep: (n_kept,), indices of these centres; exchange: maps the outgoing messages of all centres
    to those on the reversed edges of the kept ones.
    """

    keep: Tensor
    exchange: Exchange


@dataclass
class Output:
    """What the network says of each centre, in its own units.

    energies: (n_centres,), without the per-species baseline; properties: (n_centres, 3) or
    (n_centres, 3, 3) each; energy_spread, message_spread:
    (n_centres,), variance over the frames of the energies and of what is passed on (mean over
    features), summed over layers; None unless asked for.
    """

    energies: Tensor
    properties: dict[str, Tensor] = field(default_factory=dict)
    energy_spread: Tensor | None = None
    message_spread: Tensor | None = None

    def select(self, some: Tensor) -> Output:
        """Energies and properties of some of the centres."""
        energies = None if self.energies is None else self.energies.index_select(0, some)
        properties = {name: x.index_select(0, some) for name, x in self.properties.items()}
        return Output(energies, properties)


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
        mixing = hyper.message_layers - 1 if self.modern else 0
        norm = NORMALIZATIONS[hyper.normalization]
        self.combination_norms = nn.ModuleList(norm(2 * width) for _ in range(mixing))
        self.combination_mlps = nn.ModuleList(Combination(width) for _ in range(mixing))

    def forward(
        self,
        neighborhoods: Neighborhoods,
        rows: FrameRows | Callable[[], FrameRows] | None,
        exchange: Exchange | Sequence[Hop],
        chunk: int | None = None,
        spread: bool = False,
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
        """
        tokens = self._tokens(neighborhoods)
        kinds, neighbor_kinds = neighborhoods.centre_species, neighborhoods.neighbor_species
        messages = self.message_embedder(neighbor_kinds) * neighborhoods.valid[..., None]
        hops = None if callable(exchange) else exchange
        node = None
        outputs = []
        for k, layer in enumerate(self.layers):
            if layer.node_embedder is not None:
                node = layer.node_embedder(kinds)
            invariant = in_parts(
                layer.invariant_part, chunk, neighbor_kinds, messages, tokens.waves
            )
            layer_rows = rows() if callable(rows) else rows
            output, node, outgoing = self._layer(
                k, tokens, invariant, node, layer_rows, chunk, spread
            )
            outputs.append(output)
            if outgoing is None:
                break
            incoming = (exchange if hops is None else hops[k].exchange)(outgoing)
            if hops is not None:
                keep = hops[k].keep
                tokens, outputs = tokens.select(keep), [x.select(keep) for x in outputs]
                rows = rows.select(keep) if isinstance(rows, FrameRows) else rows
                kinds, neighbor_kinds, messages, node, outgoing = (
                    x.index_select(0, keep)
                    for x in (kinds, neighbor_kinds, messages, node, outgoing)
                )
            combine = functools.partial(self._combine, k)
            messages = in_parts(combine, chunk, messages, outgoing, incoming)
        properties = {
            name: without_direction_when_alone(
                _sum(output.properties.get(name) for output in outputs), tokens.factors
            )
            for name in self.property_heads
        }
        return Output(
            _sum(output.energies for output in outputs),
            properties,
            _sum(output.energy_spread for output in outputs),
            _sum(output.message_spread for output in outputs),
        )

    def _tokens(self, neighborhoods: Neighborhoods) -> Tokens:
        """Geometry in the dtype of the weights; the cutoff factors are computed in float64."""
        dtype = self.message_embedder.weight.dtype
        valid = neighborhoods.valid
        vectors = torch.where(valid[..., None], neighborhoods.vectors, 1.0)
        lengths = torch.linalg.vector_norm(vectors, dim=-1)
        cutoff = CUTOFF_FUNCTIONS[self.hyper.cutoff_function]
        factors, log_factors = cutoff(lengths, self.hyper.cutoff, self.hyper.cutoff_width)
        factors = torch.where(valid, factors, 0.0)
        log_factors = torch.where(valid, log_factors, _INVISIBLE)
        waves = None
        if self.hyper.radial_waves:
            waves = _radial_waves(lengths, self.hyper.cutoff, self.hyper.radial_waves).to(dtype)
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
        rows: FrameRows | None,
        chunk: int | None,
        spread: bool,
    ) -> tuple[Output, Tensor | None, Tensor | None]:
        """One layer in all frames, averaged over the frames of each centre.

        :return: what the layer reads out, and node and outgoing messages for the next layer (None
            after the last)
        """
        layer, width = self.layers[k], tokens.lengths.shape[1]
        last = k == len(self.layers) - 1
        read = 0 if self.modern else k
        reads = last or not self.modern

        def evaluate(
            frames: Tensor | None, edge_tables: Sequence[Tensor], node: Tensor
        ) -> list[Tensor]:
            vectors, lengths, factors, log_factors, invariant = edge_tables
            if frames is not None:
                vectors = vectors @ frames
            some = Tokens(vectors.to(lengths.dtype), lengths, factors, log_factors)
            node, edges = layer(some, invariant, node)
            results = []
            if reads:
                bonds = (factors * self.edge_heads[read](edges)).sum(1)
                results.append(self.node_heads[read](node) + bonds)
                for heads in self.property_heads.values():
                    values = heads[read](node, edges, factors)
                    turn = None if frames is None else frames.to(values.dtype)
                    results.append(values if turn is None else turned_back(values, turn))
            if not last:
                padding = (0, 0, 0, width - edges.shape[1])
                results += [node, nn.functional.pad(edges, padding)]
            return results

        geometry = (tokens.vectors, tokens.lengths, tokens.factors, tokens.log_factors)
        averages, variances = average_over_frames(
            evaluate, (*geometry, invariant), node, tokens.neighbors, rows, chunk, spread
        )
        output = Output(averages[0] if reads else None)
        if reads:
            output.properties = dict(zip(self.property_heads, averages[1:], strict=False))
        if spread:
            output.energy_spread = variances[0] if reads else None
            if not last:
                messages = (variances[-1].mean(-1) * tokens.factors).sum(1)
                output.message_spread = variances[-2].mean(-1) + messages
        return (output, None, None) if last else (output, averages[-2], averages[-1])

    def _combine(self, k: int, messages: Tensor, outgoing: Tensor, incoming: Tensor) -> Tensor:
        """Messages of the next layer from what both ends of each edge have sent."""
        if not self.modern:
            return 0.5 * (messages + incoming)
        both = self.combination_norms[k](torch.cat([outgoing, incoming], dim=-1))
        return messages + outgoing + self.combination_mlps[k](both)


def _sum(terms: Iterable[Tensor | None]) -> Tensor | None:
    """Sum of those that are there, None if none is."""
    present = [term for term in terms if term is not None]
    return torch.stack(present).sum(0) if present else None


def _radial_waves(lengths: Tensor, cutoff: float, count: int) -> Tensor:
    """sin(n pi r / cutoff) / r for n = 1 ... count, on a last dimension of its own.

    They let the first layer resolve a stiff bond, which (x, y, z, r) alone takes long to learn.
    """
    n = torch.arange(1, count + 1, dtype=lengths.dtype, device=lengths.device)
    return torch.sin(n * (torch.pi / cutoff) * lengths[..., None]) / lengths[..., None]
