"""Batches of labelled structures: graphs and labels as tensors."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..graph import ChargeAndSpin, Edges, Graph, find_edges, graph_of_edges, species_indices
from ..model import Hyperparameters
from .data import Frame
from .scales import Scales
from .values import BatchValues, rotated_vectors

_MOST_EDGES_KEPT = 30_000_000  # about 2 GB


class Batches:
    """Makes batches; the edges of a frame are found once, as positions never change.

    :param scales: from units of the labels to those of the network
    """

    def __init__(self, hyper: Hyperparameters, scales: Scales, device: torch.device) -> None:
        self.cutoff, self.species = hyper.neighbor_cutoff, hyper.species
        self.scales, self.device = scales, device
        self._charge_and_spin = ChargeAndSpin(
            hyper.foreign.largest_charge, hyper.foreign.largest_spin
        )
        self._edges: dict[int, tuple[Frame, Edges]] = {}  # by the identity of the frame
        self._kept = 0

    def make(
        self, frames: list[Frame], rotations: NDArray[np.float64] | None = None
    ) -> tuple[Graph, BatchValues]:
        """Graph and labels of some frames.

        :param rotations: (n_frames, 3, 3), to rotate each structure and its labels by
        """
        systems = [frame.system for frame in frames]
        species = [species_indices(system.numbers, self.species) for system in systems]
        graph = graph_of_edges(
            species,
            [self._edges_of(frame) for frame in frames],
            self.device,
            self._charge_and_spin.table(systems, self.device),
        )
        labels = self._labels(frames, species)
        if rotations is None:
            return graph, labels
        matrices = torch.as_tensor(rotations, device=self.device)
        of_edges = matrices[graph.structure[graph.edge_centre]]
        graph = graph.with_vectors(rotated_vectors(of_edges, graph.vectors))
        return graph, labels.rotated(matrices, graph.structure)

    def _edges_of(self, frame: Frame) -> Edges:
        kept = self._edges.get(id(frame))
        if kept is not None:
            return kept[1]
        edges = find_edges(frame.system, self.cutoff)
        if self._kept < _MOST_EDGES_KEPT:
            self._kept += len(edges.centre)
            self._edges[id(frame)] = frame, edges  # with the frame, so that no other gets its id
        return edges

    def _labels(self, frames: list[Frame], species: list[NDArray[np.int64]]) -> BatchValues:
        scales = self.scales
        baseline = np.asarray(scales.baseline)
        energies = [
            np.nan if f.labels.energy is None else f.labels.energy - baseline[k].sum()
            for f, k in zip(frames, species, strict=True)
        ]
        none = np.full((3, 3), np.nan)
        virials = [none if f.labels.stress is None else -f.labels.stress * f.volume for f in frames]
        forces = [
            np.full((len(f.system), 3), np.nan) if f.labels.forces is None else f.labels.forces
            for f in frames
        ]

        def tensor(values: NDArray[np.float64], scale: float) -> Tensor:
            return torch.as_tensor(values / scale, dtype=torch.float64, device=self.device)

        def property_labels(name: str, rank: int) -> NDArray[np.float64]:
            missing = np.full((3,) * rank, np.nan)
            return np.array([f.labels.properties.get(name, missing) for f in frames])

        atom_energies = None
        if any(f.labels.atom_energies is not None for f in frames):
            atom_energies = tensor(_atom_energies(frames, species, baseline), scales.energy)
        return BatchValues(
            tensor(np.array(energies), scales.energy),
            tensor(np.concatenate(forces), scales.energy),
            tensor(np.array(virials), scales.energy),
            {
                name: tensor(property_labels(name, rank), scales.properties[name])
                for name, rank in scales.ranks.items()
            },
            atom_energies=atom_energies,
        )


def _atom_energies(
    frames: list[Frame], species: list[NDArray[np.int64]], baseline: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Labels of the energies of atoms without the baseline, (n_atoms,), NaN where there is none."""
    return np.concatenate(
        [
            np.full(len(k), np.nan) if f.labels.atom_energies is None
            else f.labels.atom_energies - baseline[k]
            for f, k in zip(frames, species, strict=True)
        ]
    )  # fmt: skip
