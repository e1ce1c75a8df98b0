"""From what a network says to energies in eV: scales, energies of single atoms, the repulsion of
nuclei."""

from __future__ import annotations

import torch
from torch import Tensor

from ..files.checkpoint import Checkpoint
from ..graph import PaddedNeighbors
from .scopes import Evaluation
from .zbl_energy import repulsion


class Rescaling:
    """The units of a model, and what comes on top of its network."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        def tensor(values: float | list[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float64, device=device)

        self.energy_scale = checkpoint.energy_scale
        self._baseline = tensor(checkpoint.baseline)
        self._property_scales = {
            name: tensor(scale) for name, scale in checkpoint.property_scales.items()
        }
        self._hyper = checkpoint.hyper

    def applied(
        self, result: Evaluation, environments: PaddedNeighbors, vectors: Tensor, n_atoms: int
    ) -> Evaluation:
        """
        :param result: of the first ``n_atoms`` centres, in units of the network
        :param vectors: (n_edges, 3), of all edges, angstrom, float64
        :return: energies in eV, gradient in eV/angstrom, properties in their units; all float64
        """
        kinds = environments.centre_species[:n_atoms]
        energies = result.energies.to(torch.float64) * self.energy_scale + self._baseline[kinds]
        gradient = result.gradient * self.energy_scale
        if self._hyper.zbl_radii:
            more, slope = self._repulsion(environments, vectors, n_atoms)
            energies, gradient = energies + more, gradient + slope
        properties = {
            name: self._scaled(name, x.to(torch.float64), kinds)
            for name, x in result.properties.items()
        }
        return Evaluation(energies, properties, gradient)

    def _scaled(self, name: str, values: Tensor, kinds: Tensor) -> Tensor:
        """
        :param values: (n_atoms, 3) or (n_atoms, 3, 3); kinds: (n_atoms,), index of the species
        """
        scale = self._property_scales.get(name)
        if scale is None:
            return values
        of_atoms = scale[kinds] if scale.dim() else scale.expand(len(kinds))
        return values * of_atoms.view(-1, *(1,) * (values.dim() - 1))

    def _repulsion(
        self, environments: PaddedNeighbors, vectors: Tensor, n_atoms: int
    ) -> tuple[Tensor, Tensor]:
        """Energies of the first atoms, (n_atoms,), and the gradient of their sum with respect to
        the edge vectors, (n_edges, 3)."""
        variable = vectors.detach().requires_grad_(True)
        with torch.enable_grad():
            energies = repulsion(self._hyper, environments, variable)[:n_atoms]
            (slope,) = torch.autograd.grad(energies.sum(), variable, materialize_grads=True)
        return energies.detach(), slope
