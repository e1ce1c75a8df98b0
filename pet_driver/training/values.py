"""Energies, forces, virials and covariant outputs of a batch: labels, or predictions of them."""

from __future__ import annotations

import dataclasses
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
    message_variance: (n_atoms,), of predictions, over frames, None: not computed;
    symmetrization_forces: (n_atoms, 3), of predictions, the part of the forces that stems from the
    change of frames and of their weights, None: not computed; atom_energies: (n_atoms,), without
    baseline, None: of labels without them.
    """

    energies: Tensor
    forces: Tensor
    virials: Tensor
    properties: dict[str, Tensor] = field(default_factory=dict)
    energy_variance: Tensor | None = None
    message_variance: Tensor | None = None
    symmetrization_forces: Tensor | None = None
    atom_energies: Tensor | None = None

    @classmethod
    def of(cls, found: Evaluation, graph: Graph) -> BatchValues:
        """Predicted values, differentiable where the evaluation is."""
        forces, virials = forces_and_virials(graph, found.gradient)

        def total(values: Tensor) -> Tensor:
            zeros = torch.zeros(len(graph.sizes), *values.shape[1:], dtype=torch.float64)
            return zeros.to(values.device).index_add(0, graph.structure, values.to(torch.float64))

        energy_variance, message_variance = (
            None if x is None else x.to(torch.float64)
            for x in (found.energy_variance, found.message_variance)
        )
        symmetrization = None
        if found.symmetrization is not None:
            symmetrization, _ = forces_and_virials(graph, found.symmetrization)
        return cls(
            total(found.energies),
            forces,
            total(virials),
            {name: total(x) for name, x in found.properties.items()},
            energy_variance,
            message_variance,
            symmetrization,
            found.energies.to(torch.float64),
        )

    def estimated_from(self, draws: int) -> BatchValues:
        """Variances of all frames, as estimated from a few that were drawn.

        :param draws: number of frames drawn for each atom, at least 2
        """
        factor = draws / (draws - 1)
        energy, message = (
            None if x is None else factor * x for x in (self.energy_variance, self.message_variance)
        )
        return dataclasses.replace(self, energy_variance=energy, message_variance=message)

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
            atom_energies=self.atom_energies,
        )


def rotated_vectors(rotations: Tensor, vectors: Tensor) -> Tensor:
    """Vectors (n, 3), each multiplied by its rotation (n, 3, 3)."""
    return (rotations @ vectors[..., None]).squeeze(-1)
