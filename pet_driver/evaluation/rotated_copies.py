"""Evaluating everything that an atom's energy depends on in one frame: the scopes "atom" and
"structure".

Unlike in scope "layer", messages here are not invariants: they belong to the frame in which the
whole receptive field of an atom, or a whole structure, is turned. Such a turned *copy* is evaluated
layer by layer, each layer for the atoms alone that the next one still listens to.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..frames import FrameSet, rotate_back
from ..graph import PaddedNeighbors
from ..model import PET, LayerMap, NetworkInput


@dataclass
class RotatedCopies:
    """Turned copies and the atoms that are read out of each.

    rows: frame and weight of each copy; copy, atom: (n_roots,), the atoms whose energies are taken
    from a copy, times its weight; sorted by copy.
    """

    rows: FrameSet
    copy: Tensor
    atom: Tensor

    @classmethod
    def of_atoms(cls, rows: FrameSet) -> RotatedCopies:
        """One atom is read out of each copy: the centre to which the frame belongs."""
        return cls(rows, torch.arange(len(rows.centre), device=rows.centre.device), rows.centre)

    @classmethod
    def of_structures(cls, rows: FrameSet, sizes: Tensor) -> RotatedCopies:
        """All atoms of the structure to which the frame belongs are read out of each copy.

        :param sizes: (n_structures,), number of atoms
        """
        counts = sizes[rows.centre]
        first = torch.cumsum(sizes, 0) - sizes
        copy = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
        start = torch.cumsum(counts, 0) - counts
        within = torch.arange(len(copy), device=counts.device) - start[copy]
        return cls(rows, copy, first[rows.centre][copy] + within)

    def parts(self, copies_at_a_time: int) -> Iterator[RotatedCopies]:
        """The copies, so many at a time, with frames and weights cut off from the graph."""
        for start in range(0, len(self.rows.centre), copies_at_a_time):
            taken = slice(start, start + copies_at_a_time)
            roots = (self.copy >= start) & (self.copy < start + copies_at_a_time)
            rows = FrameSet(
                self.rows.centre[taken],
                self.rows.frames[taken].detach().requires_grad_(True),
                self.rows.weights[taken].detach().requires_grad_(True),
                self.rows.n_centres,
            )
            yield RotatedCopies(rows, self.copy[roots] - start, self.atom[roots])


class CopyEvaluator:
    """The environments of all atoms, and which atoms hear of which from layer to layer.

    :param reverse: (n_edges,), index of the reversed edge of each edge
    """

    def __init__(self, network: PET, environments: PaddedNeighbors, reverse: Tensor) -> None:
        self.network = network
        self.environments = environments
        width = environments.n_neighbors
        # Of each slot: the slot of the reversed edge, hence the neighbor, and the place there.
        reversed_slot = torch.zeros_like(environments.valid, dtype=torch.long).view(-1)
        reversed_slot[environments.slots] = environments.slots[reverse]
        self._neighbor = (reversed_slot // width).view(-1, width)
        self._there = (reversed_slot % width).view(-1, width)

    def evaluate(
        self,
        variable: Tensor,
        ensembles: list[RotatedCopies],
        chunk: int,
        vectors: Tensor,
        cutoffs: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Weighted sums over all copies.

        Some copies at a time are evaluated and differentiated with respect to vectors, frames and
        weights; one pass backward through the construction of the frames ends it. So memory is
        bounded by the chunk.

        :param variable: (n_all_edges, 3), of which everything else is a function
        :param chunk: most environments evaluated at a time
        :param vectors: (n_edges, 3), angstrom, float64
        :param cutoffs: (n_edges,), of each edge; None: that of the model
        :return: energies (n_atoms,); properties (n_atoms, 3) or (n_atoms, 3, 3) each; gradient of
            the sum of the energies with respect to the variable, its shape
        """
        geometry = [vectors.detach().requires_grad_(True)]
        if cutoffs is not None:
            geometry.append(cutoffs.detach().requires_grad_(True))
        slopes_of_geometry = [torch.zeros_like(x) for x in geometry]
        gradient = torch.zeros_like(variable)
        energies = vectors.new_zeros(self.environments.n_centres)
        properties: dict[str, Tensor] = {}
        for ensemble in ensembles:
            frame_gradients, weight_gradients = [], []
            for part in ensemble.parts(self._copies_at_a_time(ensemble, chunk)):
                value, found, slopes = self._evaluate_part(geometry, part, chunk)
                energies.index_add_(0, part.atom, value)
                for name, x in found.items():
                    if name not in properties:
                        properties[name] = x.new_zeros(len(energies), *x.shape[1:])
                    properties[name].index_add_(0, part.atom, x)
                frame_gradients.append(slopes[0])
                weight_gradients.append(slopes[1])
                for total, slope in zip(slopes_of_geometry, slopes[2:], strict=True):
                    total += slope
            rows = ensemble.rows
            if frame_gradients and rows.weights.requires_grad:
                (through_frames,) = torch.autograd.grad(
                    [rows.frames, rows.weights],
                    variable,
                    [torch.cat(frame_gradients), torch.cat(weight_gradients)],
                    retain_graph=True,
                )
                gradient += through_frames
        if vectors is variable:
            return energies, properties, gradient + slopes_of_geometry[0]
        made = [x for x in (vectors, cutoffs) if x is not None]
        (through_geometry,) = torch.autograd.grad(
            made, variable, slopes_of_geometry, retain_graph=True
        )
        return energies, properties, gradient + through_geometry

    def _copies_at_a_time(self, ensemble: RotatedCopies, chunk: int) -> int:
        roots = len(ensemble.copy) / max(len(ensemble.rows.centre), 1)
        reach = (1 + self.environments.n_neighbors) ** self.network.hyper.exchanges
        largest = min(roots * reach, self.environments.n_centres)
        return max(int(chunk // max(largest, 1)), 1)

    def _evaluate_part(
        self, geometry: list[Tensor], part: RotatedCopies, chunk: int
    ) -> tuple[Tensor, dict[str, Tensor], list[Tensor]]:
        """Weighted energies and properties of the roots, and the gradient of the sum of the
        energies with respect to frames, weights, and vectors and cutoffs of edges."""
        frames, weights = part.rows.frames, part.rows.weights
        stages = self._stages(part)
        hops = [self._hop(a, b) for a, b in itertools.pairwise(stages)]
        with torch.enable_grad():
            output = self.network(self._turned(geometry, frames, stages[0]), None, hops, chunk)
            energies = output.energies.to(weights.dtype) * weights[part.copy]
        slopes = torch.autograd.grad(
            energies.sum(), [frames, weights, *geometry], materialize_grads=True
        )
        properties = {}
        for name, x in output.properties.items():
            turned = rotate_back(x.detach().to(frames.dtype), frames.detach()[part.copy])
            share = weights.detach()[part.copy]
            properties[name] = turned * share.view(-1, *(1,) * (x.dim() - 1))
        return energies.detach(), properties, list(slopes)

    def _stages(self, part: RotatedCopies) -> list[Tensor]:
        """For each layer the environments that it evaluates, as sorted keys ``copy * n_atoms +
        atom``; the last are the roots."""
        count = self.environments.n_centres
        stages = [part.copy * count + part.atom]
        for _ in range(self.network.hyper.exchanges):
            keys = stages[0]
            copy, atom = keys // count, keys % count
            heard = copy[:, None] * count + self._neighbor[atom]
            heard = heard[self.environments.valid[atom]]
            stages.insert(0, torch.unique(torch.cat([keys, heard])))
        return stages

    def _hop(self, before: Tensor, after: Tensor) -> LayerMap:
        count, width = self.environments.n_centres, self.environments.n_neighbors
        copy, atom = after // count, after % count
        valid = self.environments.valid[atom]
        heard = torch.where(valid, copy[:, None] * count + self._neighbor[atom], after[:, None])
        source = torch.searchsorted(before, heard) * width + self._there[atom]

        def exchange(outgoing: Tensor) -> Tensor:
            flat = outgoing.reshape(-1, outgoing.shape[-1]).index_select(0, source.view(-1))
            return flat.view(*source.shape, flat.shape[1]) * valid[..., None]

        return LayerMap(torch.searchsorted(before, after), exchange)

    def _turned(self, geometry: list[Tensor], frames: Tensor, keys: Tensor) -> NetworkInput:
        """The environments of a stage, each in the frame of its copy."""
        count = self.environments.n_centres
        copy, atom = keys // count, keys % count
        table, *cutoffs = (
            self.environments.pad(x if x.dim() == 2 else x[:, None]).index_select(0, atom)
            for x in geometry
        )
        charge_and_spin = self.environments.charge_and_spin
        return NetworkInput(
            self.environments.centre_species[atom],
            self.environments.neighbor_species[atom],
            table @ frames.index_select(0, copy),
            self.environments.valid[atom],
            cutoffs[0].squeeze(-1) if cutoffs else None,
            None if charge_and_spin is None else charge_and_spin[atom],
        )
