"""Rotated copies of receptive fields and of structures: the scopes "atom" and "structure".

Unlike in scope "layer", messages are not invariant here: they belong to the frame in which the
whole receptive field of an atom, or a whole structure, is rotated. Such a rotated *copy* is
evaluated layer by layer; each layer is evaluated only for the atoms whose messages the next one
needs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..frames import FrameSet, rotate_back
from ..graph import Graph
from ..model import PET, LayerMap, NetworkInput, PassOptions


@dataclass(frozen=True)
class RotatedCopies:
    """Rotated copies, and the atoms whose energies are taken from each.

    frames: frame and weight of each copy; copy, atom: (n_read,), the atoms whose energies are taken
    from a copy, times its weight; sorted by copy.
    """

    frames: FrameSet
    copy: Tensor
    atom: Tensor

    @classmethod
    def of_atoms(cls, frames: FrameSet) -> RotatedCopies:
        """Copies for one atom each: the centre to which the frame belongs."""
        copy = torch.arange(len(frames.centre), device=frames.centre.device)
        return cls(frames, copy, frames.centre)

    @classmethod
    def of_structures(cls, frames: FrameSet, sizes: Tensor) -> RotatedCopies:
        """Copies for all atoms of the structure to which the frame belongs.

        :param sizes: (n_structures,), number of atoms
        """
        counts = sizes[frames.centre]
        first = torch.cumsum(sizes, 0) - sizes
        copy = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
        start = torch.cumsum(counts, 0) - counts
        within = torch.arange(len(copy), device=counts.device) - start[copy]
        return cls(frames, copy, first[frames.centre][copy] + within)

    def parts(self, copies_at_a_time: int) -> Iterator[RotatedCopies]:
        """Split the copies, with frames and weights cut off from the autograd graph."""
        for start in range(0, len(self.frames.centre), copies_at_a_time):
            taken = slice(start, start + copies_at_a_time)
            read = (self.copy >= start) & (self.copy < start + copies_at_a_time)
            frames = FrameSet(
                self.frames.centre[taken],
                self.frames.frames[taken].detach().requires_grad_(True),
                self.frames.weights[taken].detach().requires_grad_(True),
                self.frames.n_centres,
            )
            yield RotatedCopies(frames, self.copy[read] - start, self.atom[read])


class CopyEvaluator:
    """Evaluates rotated copies of the atoms of a graph.

    :param graph: truncated, all of whose reversed edges are in this process
    :param chunk: most samples (rotated neighborhoods of atoms) evaluated at a time
    """

    def __init__(self, network: PET, graph: Graph, chunk: int) -> None:
        self.network, self.graph, self.chunk = network, graph, chunk
        padded = graph.padded
        # The slot of a reversed edge gives the neighbor (its row) and the column in that row.
        reversed_slot = torch.zeros_like(padded.valid, dtype=torch.long).view(-1)
        reversed_slot[padded.slots] = padded.slots[graph.exchange.local_reverse()]
        self._neighbor = (reversed_slot // padded.n_neighbors).view_as(padded.valid)
        self._column = (reversed_slot % padded.n_neighbors).view_as(padded.valid)

    def evaluate(
        self, variable: Tensor, ensembles: list[RotatedCopies]
    ) -> tuple[Tensor, dict[str, Tensor], Tensor, Tensor]:
        """Weighted sums over all copies.

        Some copies at a time are evaluated and differentiated with respect to vectors, frames and
        weights, so that the chunk bounds the memory. One backward pass through the construction of
        the frames adds their part of the gradient.

        :param variable: (n_all_edges, 3), of which vectors, cutoffs and frames are functions
        :return: energies (n_centres,); properties (n_centres, 3) or (n_centres, 3, 3) each; the
            gradient of the sum of the energies with respect to the variable, its shape, in two
            parts: with frames and weights held fixed, and through them
        """
        made = [x for x in (self.graph.vectors, self.graph.cutoffs) if x is not None]
        geometry = [x.detach().requires_grad_(True) for x in made]
        geometry_gradients = [torch.zeros_like(x) for x in geometry]
        through = torch.zeros_like(variable)
        energies = variable.new_zeros(self.graph.n_centres)
        properties = {
            name: variable.new_zeros(len(energies), *(3,) * rank)
            for name, rank in self.network.hyper.properties
        }
        for ensemble in ensembles:
            frame_gradients = []
            for part in ensemble.parts(self._copies_at_a_time(ensemble)):
                value, found, gradients = self._evaluate_part(geometry, part)
                energies.index_add_(0, part.atom, value)
                for name, x in found.items():
                    properties[name].index_add_(0, part.atom, x)
                frame_gradients.append(gradients[:2])
                for total, slope in zip(geometry_gradients, gradients[2:], strict=True):
                    total += slope
            through += _through_frames(ensemble.frames, frame_gradients, variable)
        if self.graph.vectors is variable:
            return energies, properties, geometry_gradients[0], through
        (plain,) = torch.autograd.grad(made, variable, geometry_gradients, retain_graph=True)
        return energies, properties, plain, through

    def _copies_at_a_time(self, ensemble: RotatedCopies) -> int:
        read = len(ensemble.copy) / max(len(ensemble.frames.centre), 1)
        widening = (1 + self.graph.padded.n_neighbors) ** self.network.hyper.exchanges
        largest = min(read * widening, self.graph.n_centres)
        return max(int(self.chunk // max(largest, 1)), 1)

    def _evaluate_part(
        self, geometry: list[Tensor], part: RotatedCopies
    ) -> tuple[Tensor, dict[str, Tensor], list[Tensor]]:
        """Weighted energies and properties of the atoms read, and a gradient.

        :return: the gradient is that of the sum of the energies with respect to frames, weights,
            and vectors and cutoffs of edges
        """
        frames, weights = part.frames.frames, part.frames.weights
        stages = self._stages(part)
        maps = [self._layer_map(a, b) for a, b in itertools.pairwise(stages)]
        with torch.enable_grad():
            inputs = self._rotated(geometry, frames, stages[0])
            output = self.network(inputs, None, maps, PassOptions(chunk=self.chunk))
            energies = output.energies.to(weights.dtype) * weights[part.copy]
        gradients = torch.autograd.grad(
            energies.sum(), [frames, weights, *geometry], materialize_grads=True
        )
        properties = {}
        for name, x in output.properties.items():
            rotated = rotate_back(x.detach().to(frames.dtype), frames.detach()[part.copy])
            share = weights.detach()[part.copy]
            properties[name] = rotated * share.view(-1, *(1,) * (x.dim() - 1))
        return energies.detach(), properties, list(gradients)

    def _stages(self, part: RotatedCopies) -> list[Tensor]:
        """Samples that each layer evaluates, as sorted keys ``copy * n_centres + atom``.

        Those of the last layer are the atoms that are read.
        """
        count = self.graph.n_centres
        stages = [part.copy * count + part.atom]
        for _ in range(self.network.hyper.exchanges):
            keys = stages[0]
            copy, atom = keys // count, keys % count
            needed = copy[:, None] * count + self._neighbor[atom]
            needed = needed[self.graph.padded.valid[atom]]
            stages.insert(0, torch.unique(torch.cat([keys, needed])))
        return stages

    def _layer_map(self, before: Tensor, after: Tensor) -> LayerMap:
        padded, count = self.graph.padded, self.graph.n_centres
        copy, atom = after // count, after % count
        valid = padded.valid[atom]
        sender = torch.where(valid, copy[:, None] * count + self._neighbor[atom], after[:, None])
        source = torch.searchsorted(before, sender) * padded.n_neighbors + self._column[atom]

        def exchange(outgoing: Tensor) -> Tensor:
            flat = outgoing.reshape(-1, outgoing.shape[-1]).index_select(0, source.view(-1))
            return flat.view(*source.shape, flat.shape[1]) * valid[..., None]

        return LayerMap(torch.searchsorted(before, after), exchange)

    def _rotated(self, geometry: list[Tensor], frames: Tensor, keys: Tensor) -> NetworkInput:
        """Inputs of the network for the samples of a layer, each in the frame of its copy."""
        padded, count = self.graph.padded, self.graph.n_centres
        copy, atom = keys // count, keys % count
        table, *cutoffs = (
            padded.pad(x if x.dim() == 2 else x[:, None]).index_select(0, atom) for x in geometry
        )
        charge_and_spin = padded.charge_and_spin
        return NetworkInput(
            padded.centre_species[atom],
            padded.neighbor_species[atom],
            table @ frames.index_select(0, copy),
            padded.valid[atom],
            cutoffs[0].squeeze(-1) if cutoffs else None,
            None if charge_and_spin is None else charge_and_spin[atom],
        )


def _through_frames(frames: FrameSet, gradients: list[list[Tensor]], variable: Tensor) -> Tensor:
    """Gradient through the construction of the frames.

    :param gradients: of each part, with respect to frames and weights
    """
    if not gradients or not frames.weights.requires_grad:
        return torch.zeros_like(variable)
    of_frames, of_weights = (torch.cat(x) for x in zip(*gradients, strict=True))
    (through,) = torch.autograd.grad(
        [frames.frames, frames.weights], variable, [of_frames, of_weights], retain_graph=True
    )
    return through
