"""Energies, forces, virials and covariant outputs of a batch: labels, or predictions of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..evaluation.evaluation import Evaluation
from ..graph import Graph, forces_and_virials


@dataclass
class BatchValues:
    """Values of a batch of structures, in units of the network; NaN where there is no label.

    energies: (n_structures,), without baseline; forces: (n_atoms, 3); virials: (n_structures, 3,
    3); properties: totals, (n_structures, 3) or (n_structures, 3, 3) by name; energy_variance,
    message_variance: (n_atoms,), of predictions, over frames, None: not computed.
    """

    energies: Tensor
    forces: Tensor
    virials: Tensor
    properties: dict[str, Tensor] = field(default_factory=dict)
    energy_variance: Tensor | None = None
    message_variance: Tensor | None = None

    @classmethod
    def of(cls, found: Evaluation, graph: Graph) -> BatchValues:
        """Predicted values, differentiable where the evaluation is."""
        forces, virials = forces_and_virials(graph, found.gradient)

        def total(values: Tensor) -> Tensor:
            zeros = torch.zeros(len(graph.sizes), *values.shape[1:], dtype=torch.float64)
            return zeros.to(values.device).index_add(0, graph.structure, values.to(torch.float64))

        variances = (found.energy_variance, found.message_variance)
        return cls(
            total(found.energies),
            forces,
            total(virials),
            {name: total(x) for name, x in found.properties.items()},
            *(None if x is None else x.to(torch.float64) for x in variances),
        )

    def rotated(self, rotations: Tensor, structure: Tensor) -> BatchValues:
        """Values of the rotated structures.

        :param rotations: (n_structures, 3, 3)
        :param structure: (n_atoms,), index of the structure of each atom
        """
        properties = {}
        for name, values in self.properties.items():
            if values.dim() == 2:
                properties[name] = rotated_vectors(rotations, values)
            else:
                properties[name] = rotations @ values @ rotations.transpose(1, 2)
        return BatchValues(
            self.energies,
            rotated_vectors(rotations[structure], self.forces),
            rotations @ self.virials @ rotations.transpose(1, 2),
            properties,
        )


def rotated_vectors(rotations: Tensor, vectors: Tensor) -> Tensor:
    """Vectors (n, 3), each multiplied by its rotation (n, 3, 3)."""
    return (rotations @ vectors[..., None]).squeeze(-1)
