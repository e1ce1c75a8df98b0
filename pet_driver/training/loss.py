"""Energies and forces of a batch as functions of the weights, and the loss that compares them with
their labels.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..exchange import LocalPlan, swap_messages
from ..model import PET, environment_frames
from ..structure import Batch


@dataclass
class Target:
    """Labels of a batch in units of the network: energies (n_structures,) without baseline, forces
    (n_atoms, 3).
    """

    energies: Tensor
    forces: Tensor


def predict(
    network: PET, batch: Batch, sample: torch.Generator | None = None, differentiable: bool = False
) -> tuple[Tensor, Tensor]:
    """Energies (n_structures,) and forces (n_atoms, 3) in units of the network.

    :param sample: draw one frame per centre and layer with this generator; None averages over all
        frames
    :param differentiable: keep the graph, for forces in the loss
    """
    environments, plan = batch.environments, LocalPlan(batch.reverse)
    vectors = batch.vectors.detach().requires_grad_(True)
    neighborhoods = environments.neighborhoods(vectors)
    rows = None
    if network.hyper.scope == "layer":
        rows = environment_frames(
            neighborhoods.vectors, environments.valid, network.hyper.cutoff, network.hyper.frames
        )
    if rows is not None and sample is not None:
        rows = functools.partial(rows.sample, sample)
    per_atom = network(neighborhoods, rows, swap_messages(environments, plan)).to(torch.float64)
    (gradient,) = torch.autograd.grad(per_atom.sum(), vectors, create_graph=differentiable)
    difference = gradient - gradient[plan.reverse]
    forces = gradient.new_zeros(per_atom.shape[0], 3).index_add(0, batch.edge_centre, difference)
    energies = per_atom.new_zeros(len(batch.sizes)).index_add(0, batch.structure, per_atom)
    return energies, forces


def loss(
    energies: Tensor,
    forces: Tensor,
    target: Target,
    sizes: Tensor,
    energy_weight: float,
    huber_delta: float,
) -> Tensor:
    """Huber loss of the force components plus the weighted squared error of energies per atom.

    :param sizes: (n_structures,), number of atoms
    :param huber_delta: force error beyond which the loss grows linearly, units of the network
    """
    force = nn.functional.huber_loss(forces, target.forces, delta=huber_delta)
    energy = ((energies - target.energies) / sizes).square().mean()
    return 2.0 * force + energy_weight * energy
