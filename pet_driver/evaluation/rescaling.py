"""Conversion to eV: scales, energies of isolated atoms, repulsion of nuclei."""

from __future__ import annotations

import torch
from torch import Tensor

from ..files.checkpoint import Checkpoint
from ..graph import Graph
from .evaluation import Evaluation
from .repulsion import Repulsion


class Rescaling:
    """Scales of a model's outputs, and the energies that are added to those of its network.

    energy_scale: eV per unit of the network.
    """

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        def tensor(values: float | list[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float64, device=device)

        self.energy_scale = checkpoint.energy_scale
        self._baseline = tensor(checkpoint.baseline)
        self._property_scales = {
            name: tensor(scale) for name, scale in checkpoint.property_scales.items()
        }
        self._repulsion = Repulsion.of(checkpoint.hyper, device)

    def applied(self, found: Evaluation, graph: Graph) -> Evaluation:
        """Evaluation in eV, eV/angstrom and the units of the properties, in float64.

        Adds the energies of isolated atoms and, where the model has it, the repulsion of nuclei.

        :param found: evaluation in units of the network
        :param graph: the graph that was evaluated
        """
        species = graph.owned_species
        baseline = self._baseline.index_select(0, species)
        energies = torch.add(baseline, found.energies, alpha=self.energy_scale)
        gradient = found.gradient * self.energy_scale
        if self._repulsion is not None:
            more, slope = self._repulsion.energies(graph)
            energies, gradient = energies + more, gradient + slope
        properties = {
            name: self._scaled(name, x.to(torch.float64), species)
            for name, x in found.properties.items()
        }
        return Evaluation(energies, gradient, properties)

    def _scaled(self, name: str, values: Tensor, species: Tensor) -> Tensor:
        """Property in its own units.

        :param values: (n_atoms, 3) or (n_atoms, 3, 3); species: (n_atoms,), species index
        """
        scale = self._property_scales.get(name)
        if scale is None:
            return values
        of_atoms = scale[species] if scale.dim() else scale.expand(len(species))
        return values * of_atoms.view(-1, *(1,) * (values.dim() - 1))
