"""Batches of labelled structures: environments and targets as tensors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..graph import Batch, ChargeAndSpin, Edges, find_edges, species_indices
from ..model import Hyperparameters
from .data import Frame
from .scales import Scales

_MOST_EDGES_KEPT = 30_000_000  # about 2 GB


@dataclass
class Target:
    """Labels of a batch in units of the network, NaN where there is none.

    energies: (n_structures,), without baseline; forces: (n_atoms, 3); virials: (n_structures, 3,
    3); properties: (n_structures, 3) or (n_structures, 3, 3) by name.
    """

    energies: Tensor
    forces: Tensor
    virials: Tensor
    properties: dict[str, Tensor]


class Batches:
    """Makes batches; the edges of a frame are found once, as positions never change."""

    def __init__(self, hyper: Hyperparameters, scales: Scales, device: torch.device) -> None:
        self.cutoff, self.species = hyper.reach, hyper.species
        self.scales, self.device = scales, device
        self._charge_and_spin = ChargeAndSpin(hyper.largest_charge, hyper.largest_spin)
        self._edges: dict[tuple[str, int], Edges] = {}
        self._kept = 0

    def make(
        self, frames: list[Frame], rotations: np.ndarray | None = None
    ) -> tuple[Batch, Target]:
        """
        :param rotations: (n_frames, 3, 3), to turn each structure and its labels by
        """
        kinds = [species_indices(frame.system.numbers, self.species) for frame in frames]
        batch = Batch.from_edges(kinds, [self._edges_of(frame) for frame in frames], self.device)
        systems = [frame.system for frame in frames]
        batch.environments = self._charge_and_spin.filled(batch.environments, systems)
        target = self._target(frames, kinds)
        if rotations is not None:
            _turn(batch, target, torch.as_tensor(rotations, device=self.device))
        return batch, target

    def _edges_of(self, frame: Frame) -> Edges:
        key = (frame.source, frame.index)
        if key in self._edges:
            return self._edges[key]
        edges = find_edges(frame.system, self.cutoff)
        if self._kept < _MOST_EDGES_KEPT:
            self._kept += len(edges.centre)
            self._edges[key] = edges
        return edges

    def _target(self, frames: list[Frame], kinds: list[np.ndarray]) -> Target:
        scales = self.scales
        baseline = np.asarray(scales.baseline)
        energies = [
            np.nan if f.labels.energy is None else f.labels.energy - baseline[k].sum()
            for f, k in zip(frames, kinds, strict=True)
        ]
        none = np.full((3, 3), np.nan)
        virials = [none if f.labels.stress is None else -f.labels.stress * f.volume for f in frames]
        forces = [
            np.full((len(f.system), 3), np.nan) if f.labels.forces is None else f.labels.forces
            for f in frames
        ]

        def tensor(values: np.ndarray, scale: float) -> Tensor:
            return torch.as_tensor(values / scale, dtype=torch.float64, device=self.device)

        return Target(
            tensor(np.array(energies), scales.energy),
            tensor(np.concatenate(forces), scales.energy),
            tensor(np.array(virials), scales.energy),
            {
                name: tensor(
                    np.array(
                        [
                            f.labels.properties.get(name, np.full((3,) * rank, np.nan))
                            for f in frames
                        ]
                    ),
                    scales.properties[name],
                )
                for name, rank in scales.ranks.items()
            },
        )


def _turn(batch: Batch, target: Target, rotations: Tensor) -> None:
    """Structures and labels turned, in place."""
    batch.vectors = _times(rotations[batch.structure[batch.edge_centre]], batch.vectors)
    target.forces = _times(rotations[batch.structure], target.forces)
    target.virials = rotations @ target.virials @ rotations.transpose(1, 2)
    for name, values in target.properties.items():
        if values.dim() == 2:
            target.properties[name] = _times(rotations, values)
        else:
            target.properties[name] = rotations @ values @ rotations.transpose(1, 2)


def _times(matrices: Tensor, vectors: Tensor) -> Tensor:
    return (matrices @ vectors[..., None]).squeeze(-1)
