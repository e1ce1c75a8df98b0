"""Evaluation of one message layer in all frames of each centre."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..frames.average import FirstCentres, FrameAverage, in_parts
from ..frames.frame_set import FrameSet
from ..frames.whole_average import WholeAverage, WidthClasses
from .at_once import differentiated_at_once
from .centre_state import CentreState
from .frozen_layer import FrozenMessageLayer
from .message_layer import MessageLayer
from .network_input import BegunExchange, EarlyExchange
from .output import LayerOutput
from .pass_options import PassOptions
from .readout import Readout, SampleFeatures
from .tokens import EdgeGeometry


class Outgoing(NamedTuple):
    """Averages over frames that go to the next layer.

    node: (n_centres, node_width); messages: (n_centres, n_neighbors, width).
    """

    node: Tensor
    messages: Tensor


class EarlyMessages(FirstCentres):
    """Begins an exchange as soon as the messages of the centres that other processes need are done.

    begun: the exchange, after the layer.
    """

    def __init__(self, exchange: EarlyExchange) -> None:
        self.centres = exchange.first
        self._exchange = exchange
        self.begun: BegunExchange

    def done(self, averages: list[Tensor], centres: Tensor) -> None:
        """Begin the exchange; messages are the last of what is averaged."""
        self.begun = self._exchange.begin(averages[-1], centres)

    def part_done(self) -> None:
        """Let messages go on."""
        self.begun.advance()


@dataclass(frozen=True)
class LayerPass:
    """One message layer, its readout (None: nothing is read out), and the options of the pass.

    sends: whether nodes and messages go to a next layer or exchange; samples: the layer as it is
    applied to samples, the same or with frozen weights.
    """

    layer: MessageLayer
    readout: Readout | None
    sends: bool
    options: PassOptions
    samples: MessageLayer | FrozenMessageLayer

    def __call__(
        self, state: CentreState, frames: FrameSet | None, early: EarlyMessages | None = None
    ) -> tuple[LayerOutput, Outgoing | None]:
        """Evaluate the layer and average over the frames of each centre.

        :param frames: frames of the centres; None: plain evaluation
        :param early: takes the messages of some centres, which are evaluated first; None: nothing
            waits for them
        :return: what is read out, and what goes to the next layer, if anything does
        """
        layer, chunk = self.layer, self.options.chunk
        node = layer.node_features(state.centre_species, state.node)
        node_width = node.shape[1]
        invariant = in_parts(
            self.samples.invariant_part, chunk, state.neighbor_species, state.messages, state.waves
        )
        geometry = state.geometry
        # One table of all scalars is selected from faster than three.
        scalars = torch.stack([geometry.lengths, geometry.factors, geometry.log_factors], dim=-1)
        tables = (geometry.vectors, scalars, invariant)
        if state.shift is not None:
            node = torch.cat([node, state.shift], dim=1)
        evaluate = functools.partial(self._evaluate, node_width, geometry.lengths.shape[1])
        average = self._average(state, frames, early)
        means, variances = average(evaluate, tables, node, self.options.variances)
        output = self._read(means, frames is None)
        if variances:
            self._add_variances(output, variances, geometry.factors)
        return output, Outgoing(means[-2], means[-1]) if self.sends else None

    def _average(
        self, state: CentreState, frames: FrameSet | None, early: EarlyMessages | None
    ) -> FrameAverage | WholeAverage:
        """Average over frames, in parts or of all samples at once."""
        sizes = self.options.sizes
        if sizes is not None:
            return WholeAverage(frames, WidthClasses.of(state.valid, frames, sizes))
        assert state.slots_taken is not None
        return FrameAverage(state.slots_taken, frames, self.options.chunk, early)

    def _evaluate(
        self,
        node_width: int,
        n_neighbors: int,
        frames: Tensor | None,
        edge_tables: Sequence[Tensor],
        node: Tensor,
    ) -> list[Tensor]:
        """Results of some samples: energies, properties, features, node, messages.

        Those that are not read out or not sent are left out.

        :param node_width: width of the node features, which a shift follows in the table
        :param n_neighbors: number of neighbors to which the messages are padded
        """
        results = functools.partial(self._results, node_width, n_neighbors)
        at_once = self.options.frozen and not self.sends and torch.is_grad_enabled()
        if at_once:
            return differentiated_at_once(results, frames, *edge_tables, node)
        return results(frames, *edge_tables, node)

    def _results(
        self,
        node_width: int,
        n_neighbors: int,
        frames: Tensor | None,
        *tables: Tensor,
    ) -> list[Tensor]:
        """Results of some samples, as of `_evaluate`, from each of their tables."""
        vectors, scalars, invariant, node = tables
        if frames is not None:
            vectors = vectors @ frames
        geometry = EdgeGeometry(vectors.to(scalars.dtype), *scalars.unbind(-1))
        if node.shape[1] == node_width:
            node, edges = self.samples(geometry, invariant, node)
        else:
            node, shift = torch.split(node, node_width, dim=1)
            node, edges = self.samples(geometry, invariant, node)
            node = node + shift
        results = []
        if self.readout is not None:
            features = SampleFeatures(node, edges, geometry)
            results.append(self.readout.energies(features))
            results += self.readout.property_values(features, frames)
            if self.options.features:
                results.append(self.readout.features(features))
        if self.sends:
            missing = n_neighbors - edges.shape[1]
            results += [node, nn.functional.pad(edges, (0, 0, 0, missing)) if missing else edges]
        return results

    def _read(self, means: list[Tensor], plain: bool) -> LayerOutput:
        """The averages of what is read out."""
        if self.readout is None:
            return LayerOutput()
        names = self.readout.property_names(plain)
        features = means[1 + len(names)] if self.options.features else None
        properties = dict(zip(names, means[1:], strict=False))
        return LayerOutput(means[0], properties, features=features)

    def _add_variances(self, output: LayerOutput, variances: list[Tensor], factors: Tensor) -> None:
        """Variances of energies and of what is sent, means over features."""
        if self.readout is not None:
            output.energy_variance = variances[0]
        if self.sends:
            messages = (variances[-1].mean(-1) * factors).sum(1)
            output.message_variance = variances[-2].mean(-1) + messages
