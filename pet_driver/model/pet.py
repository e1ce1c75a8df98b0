"""Point Edge Transformer (arXiv 2305.19302) with the paper's or the modern block."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ..frames.average import in_parts
from ..frames.frame_set import FrameSet
from ..frames.samples import slots_taken
from .centre_state import CentreState
from .conditioning import Conditioning
from .foreign_layers import FinalCombinationReadout, SuddenBondReadout
from .frozen_edges import FrozenCombination
from .frozen_layer import FrozenMessageLayer
from .hyperparameters import Hyperparameters
from .layer_pass import EarlyMessages, LayerPass
from .message_layer import Combination, MessageLayer
from .network_input import EarlyExchange, LayerMap, MessageExchange, NetworkInput
from .normalizations import NORMALIZATIONS
from .output import LayerOutput, Output, total
from .pass_options import PassOptions
from .readout import (
    FrozenHead,
    FrozenPropertyHead,
    Head,
    PropertyHead,
    Readout,
    without_direction_when_alone,
)
from .tokens import edge_geometry

_DEFAULT_OPTIONS = PassOptions()


class PET(nn.Module):
    """Energies of atoms from their neighborhoods.

    Every centre is evaluated in each of its frames; its messages and what is read out are weighted
    averages over them, invariants, which neighbors with other frames can use (scope "layer").
    Without frames it is the plain, unconstrained PET.
    """

    def __init__(self, hyper: Hyperparameters) -> None:
        super().__init__()
        self.hyper = hyper
        species, width = len(hyper.species), hyper.width
        self.message_embedder = nn.Embedding(species, width)
        self.layers = nn.ModuleList(
            MessageLayer(hyper, first=k == 0) for k in range(hyper.message_layers)
        )
        readouts = 1 if hyper.modern else hyper.message_layers
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
        mixing = hyper.exchanges if hyper.modern else 0
        norm = NORMALIZATIONS[hyper.foreign.combination_normalization or hyper.normalization]
        self.combination_norms = nn.ModuleList(norm(2 * width) for _ in range(mixing))
        self.combination_mlps = nn.ModuleList(Combination(width) for _ in range(mixing))
        self.conditioning = None
        if hyper.foreign.largest_spin:
            self.conditioning = Conditioning(
                hyper.node_width, hyper.foreign.largest_charge, hyper.foreign.largest_spin
            )

    def forward(
        self,
        inputs: NetworkInput,
        frames: FrameSet | Callable[[], FrameSet] | None,
        exchange: MessageExchange | Sequence[LayerMap],
        options: PassOptions = _DEFAULT_OPTIONS,
    ) -> Output:
        """Energies and properties of all centres.

        :param inputs: padded neighborhoods of the centres
        :param frames: frames of the centres; or a function that is called anew for each layer, to
            draw some of them; None: plain PET
        :param exchange: maps (n_centres, n_neighbors, width) messages on edges i-j to those on the
            reversed edges j-i; or one map for each step from layer to layer, the results being
            those of the centres that the last one keeps. An `EarlyExchange` begins while other
            centres are evaluated, if the weights are frozen
        :raises ValueError: if the model takes charge and spin and the inputs have none
        """
        state = self._initial_state(inputs, options)
        outputs: list[LayerOutput] = []
        for k in range(len(self.layers)):
            layer_frames = frames() if callable(frames) else frames
            layer_pass = self._layer_pass(k, options)
            early = None
            if isinstance(exchange, EarlyExchange) and layer_pass.sends and options.frozen:
                early = EarlyMessages(exchange)
            output, outgoing = layer_pass(state, layer_frames, early)
            outputs.append(output)
            if outgoing is None:
                break
            state.node, messages = outgoing
            if early is not None:
                incoming = early.begun.finish(messages)
            elif callable(exchange):
                incoming = exchange(messages)
            else:
                incoming, keep = exchange[k].exchange(messages), exchange[k].keep
                state, messages = state.select(keep), messages.index_select(0, keep)
                outputs = [x.select(keep) for x in outputs]
                frames = frames.select(keep) if isinstance(frames, FrameSet) else frames
            combine = self._combination(k, options.frozen)
            state.messages = in_parts(combine, options.chunk, state.messages, messages, incoming)
        factors = state.geometry.factors
        readout = self._readout(len(self.layers) - 1, options.frozen)
        if isinstance(readout, FinalCombinationReadout):
            outputs.append(readout.of_edges(state.messages, factors, frames is None, options))
        result = total(outputs, self.property_heads)
        if options.fade:
            result.properties = {
                name: without_direction_when_alone(x, factors)
                for name, x in result.properties.items()
            }
        return result

    def _initial_state(self, inputs: NetworkInput, options: PassOptions) -> CentreState:
        """Geometry and first messages, in the dtype of the weights."""
        geometry, waves = edge_geometry(inputs, self.hyper, self.message_embedder.weight.dtype)
        shift = None
        if self.conditioning is not None:
            if inputs.charge_and_spin is None:
                raise ValueError("charge_and_spin is None; this model needs both of each centre")
            shift = self.conditioning(inputs.charge_and_spin)
        return CentreState(
            geometry=geometry,
            valid=inputs.valid,
            slots_taken=slots_taken(inputs.valid) if options.sizes is None else None,
            waves=waves,
            shift=shift,
            centre_species=inputs.centre_species,
            neighbor_species=inputs.neighbor_species,
            messages=self.message_embedder(inputs.neighbor_species) * inputs.valid[..., None],
        )

    def _layer_pass(self, k: int, options: PassOptions) -> LayerPass:
        """How layer k is evaluated."""
        last = k == len(self.layers) - 1
        layer = cast(MessageLayer, self.layers[k])
        frozen = options.frozen and FrozenMessageLayer.supports(layer)
        return LayerPass(
            layer=layer,
            samples=FrozenMessageLayer(layer) if frozen else layer,
            readout=self._readout(k, options.frozen) if last or not self.hyper.modern else None,
            sends=not last or self.hyper.foreign.final_combination,
            options=options,
        )

    def _readout(self, k: int, frozen: bool) -> Readout:
        """Readout of layer k, with weights that need gradients or with frozen ones."""
        index = 0 if self.hyper.modern else k
        node, edge = (cast(Head, x[index]) for x in (self.node_heads, self.edge_heads))
        readout_class = Readout
        if self.hyper.foreign.final_combination:
            readout_class = FinalCombinationReadout
        elif self.hyper.foreign.sudden_bonds:
            readout_class = SuddenBondReadout
        heads = {
            name: cast(PropertyHead, cast(nn.ModuleList, x)[index])
            for name, x in self.property_heads.items()
        }
        if not frozen:
            return readout_class(node, edge, heads)
        constants = {name: FrozenPropertyHead(head) for name, head in heads.items()}
        return readout_class(FrozenHead(node), FrozenHead(edge), constants)

    def _combination(self, k: int, frozen: bool) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """Messages after layer k from those before and from what both ends of each edge send."""
        if not self.hyper.modern:
            return lambda messages, _, incoming: 0.5 * (messages + incoming)
        norm, layers = self.combination_norms[k], cast(Combination, self.combination_mlps[k])
        if frozen:
            return FrozenCombination(layers.layers, norm)
        return functools.partial(_combined, norm, layers)


def _combined(
    norm: nn.Module, layers: Combination, messages: Tensor, outgoing: Tensor, incoming: Tensor
) -> Tensor:
    mixed: Tensor = layers(norm(torch.cat([outgoing, incoming], dim=-1)))
    return messages + outgoing + mixed
