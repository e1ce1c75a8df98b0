"""Energies and forces of a batch as functions of the weights, and the loss that compares them with
their labels.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..exchange import LocalPlan
from ..model import PET, environment_frames
from ..structure import Batch
from .options import FitOptions


@dataclass
class Target:
    """Labels of a batch in units of the network: energies (n_structures,) without baseline, forces
    (n_atoms, 3).
    """

    energies: Tensor
    forces: Tensor


@dataclass
class Estimate:
    """Results of a batch in units of the network: energies (n_structures,), forces (n_atoms, 3),
    and the mean variances over frames of atomic energies and of messages."""

    energies: Tensor
    forces: Tensor
    energy_spread: Tensor
    message_spread: Tensor


def predict(
    network: PET,
    batch: Batch,
    sample: torch.Generator | None = None,
    differentiable: bool = False,
) -> Estimate:
    """
    :param sample: draw one frame per centre and layer with this generator; None averages over all
    :param differentiable: keep the graph, for forces in the loss
    """
    environments = batch.environments
    plan = LocalPlan(batch.reverse, environments.n_centres)
    vectors = batch.vectors.detach().requires_grad_(True)
    neighborhoods = environments.neighborhoods(vectors)
    rows = None
    if network.hyper.scope == "layer":
        rows = environment_frames(
            neighborhoods.vectors,
            environments.valid,
            network.hyper.cutoff,
            network.hyper.frames,
        )
    all_frames = rows is not None and sample is None
    if rows is not None and sample is not None:
        rows = functools.partial(rows.sample, sample)
    output = network(neighborhoods, rows, plan.messages(environments), spread=all_frames)
    per_atom = output.energies.to(torch.float64)
    (gradient,) = torch.autograd.grad(per_atom.sum(), vectors, create_graph=differentiable)
    difference = gradient - gradient.index_select(0, plan.reverse)
    forces = gradient.new_zeros(per_atom.shape[0], 3).index_add(0, batch.edge_centre, difference)
    energies = per_atom.new_zeros(len(batch.sizes)).index_add(0, batch.structure, per_atom)
    spreads = (output.energy_spread, output.message_spread)
    spreads = (per_atom.new_zeros(()) if x is None else x.to(torch.float64).mean() for x in spreads)
    return Estimate(energies, forces, *spreads)


def loss(
    estimate: Estimate,
    target: Target,
    sizes: Tensor,
    fit: FitOptions,
    unit: float,
    progress: float,
) -> Tensor:
    """Huber loss of the force components, squared error of the energies per atom, and the variances
    over frames, which keep the switching from one frame to another gentle.

    :param sizes: (n_structures,), number of atoms
    :param unit: eV per unit of the network
    :param progress: share of the steps done; the weight of the energies grows with its square,
        because total energies mean little before the forces are right
    """
    force = nn.functional.huber_loss(estimate.forces, target.forces, delta=fit.huber_delta / unit)
    energy = ((estimate.energies - target.energies) / sizes).square().mean()
    return (
        2.0 * force
        + fit.energy_weight * progress**2 * energy
        + fit.energy_spread_weight * estimate.energy_spread
        + fit.message_spread_weight * estimate.message_spread
    )
