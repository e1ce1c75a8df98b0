"""Energies, forces, virials and covariant outputs of a batch as functions of the weights, and the
loss that compares them with their labels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..evaluation.zbl_energy import repulsion
from ..frames import FrameSet, environment_frames
from ..graph import Batch
from ..graph.edge_exchange import LocalExchange, symmetrized
from ..graph.truncation import TruncatedGraph
from ..model import PET
from .batches import Target
from .data import Frame
from .options import FitOptions

# Takes all frames, gives one for each centre.
Sample = Callable[[FrameSet], FrameSet]


@dataclass
class Estimate:
    """Results of a batch in units of the network: energies (n_structures,), forces (n_atoms, 3),
    virials (n_structures, 3, 3), properties (n_structures, ...) by name, and for each atom the
    variances over frames of its energy and of its messages, (n_atoms,) or None.
    """

    energies: Tensor
    forces: Tensor
    virials: Tensor
    properties: dict[str, Tensor] = field(default_factory=dict)
    energy_spread: Tensor | None = None
    message_spread: Tensor | None = None


def predict(
    network: PET,
    batch: Batch,
    sample: Sample | torch.Generator | None = None,
    differentiable: bool = False,
    autocast: bool = False,
    unit: float = 1.0,
) -> Estimate:
    """
    :param sample: draws one frame per centre and layer, for scope "layer"; None: all frames
    :param differentiable: keep what a gradient with respect to the weights needs
    :param autocast: run the network in bfloat16
    :param unit: eV per unit of the network
    """
    hyper = network.hyper
    plan = LocalExchange(batch.reverse, batch.environments.n_centres)
    vectors = batch.vectors.detach().requires_grad_(True)
    near = TruncatedGraph.of(hyper, batch.environments, vectors, plan)
    rows = None
    if hyper.scope == "layer":
        rows = environment_frames(
            near.frame_vectors(hyper.cutoff),
            near.environments.valid,
            hyper.cutoff,
            hyper.frames,
            bool(hyper.properties),
        )
    all_frames = rows is not None and sample is None
    if rows is not None and sample is not None:
        draw = rows.sample if isinstance(sample, torch.Generator) else _applied(sample, rows)
        rows = functools.partial(draw, sample) if isinstance(sample, torch.Generator) else draw
    with torch.autocast(vectors.device.type, torch.bfloat16, enabled=autocast):
        messages = near.plan.messages(near.environments)
        output = network(near.neighborhoods(), rows, messages, spread=all_frames)
    per_atom = output.energies.to(torch.float64)
    if hyper.zbl_radii:
        per_atom = per_atom + repulsion(hyper, batch.environments, vectors) / unit
    (gradient,) = torch.autograd.grad(per_atom.sum(), vectors, create_graph=differentiable)
    difference = gradient - gradient.index_select(0, plan.reverse)
    forces = gradient.new_zeros(per_atom.shape[0], 3).index_add(0, batch.edge_centre, difference)
    edges = symmetrized(-batch.vectors[:, :, None] * gradient[:, None, :])
    owner = batch.structure[batch.edge_centre]

    def summed(values: Tensor, owner: Tensor) -> Tensor:
        totals = per_atom.new_zeros(len(batch.sizes), *values.shape[1:])
        return totals.index_add(0, owner, values.to(torch.float64))

    spreads = (output.energy_spread, output.message_spread)
    return Estimate(
        summed(per_atom, batch.structure),
        forces,
        summed(edges, owner),
        {name: summed(x, batch.structure) for name, x in output.properties.items()},
        *(None if x is None else x.to(torch.float64) for x in spreads),
    )


def _applied(sample: Sample, rows: FrameSet) -> Callable[[], FrameSet]:
    return lambda: sample(rows)


@dataclass
class Counts:
    """Numbers of labels in a batch: energies, force components, virial components, components of
    all properties, atoms. Of the whole batch where several processes share it.
    """

    energies: int
    forces: int
    virials: int
    properties: int
    atoms: int

    @classmethod
    def of(cls, frames: list[Frame]) -> Counts:
        labels = [frame.labels for frame in frames]
        return cls(
            sum(x.energy is not None for x in labels),
            sum(x.forces.size for x in labels if x.forces is not None),
            sum(x.stress.size for x in labels if x.stress is not None),
            sum(value.size for x in labels for value in x.properties.values()),
            sum(len(frame.system) for frame in frames),
        )


def loss(
    estimate: Estimate,
    target: Target,
    sizes: Tensor,
    fit: FitOptions,
    unit: float,
    energy_weight: float,
    counts: Counts,
) -> Tensor:
    """Errors of energies and virials per atom, of force components and covariant outputs, and the
    variances over frames, which keep the switching from one frame to another gentle.

    Errors are counted as squares, or beyond Huber's delta linearly.

    :param sizes: (n_structures,), number of atoms
    :param unit: eV per unit of the network
    :param counts: numbers of labels that make the sums averages
    """
    total = estimate.energies.new_zeros(())

    def add(weight: float, error: Tensor, kind: str, delta: float, count: int) -> None:
        nonlocal total
        if weight and count:
            total = total + weight * _penalty(error, kind, delta / unit) / count

    energy = (estimate.energies - target.energies) / sizes
    virial = (estimate.virials - target.virials) / sizes[:, None, None]
    add(energy_weight, energy, fit.energy_loss, fit.energy_delta, counts.energies)
    force = estimate.forces - target.forces
    add(fit.force_weight, force, fit.force_loss, fit.huber_delta, counts.forces)
    add(fit.stress_weight, virial, fit.stress_loss, fit.stress_delta, counts.virials)
    for name, values in target.properties.items():
        # The total is a sum over atoms: its natural error grows as the root of their number.
        share = sizes.sqrt().view(-1, *(1,) * (values.dim() - 1))
        error = (estimate.properties[name] - values) / share
        add(fit.property_weight, error, "mse", 1.0, counts.properties)
    for weight, spread in (
        (fit.energy_spread_weight, estimate.energy_spread),
        (fit.message_spread_weight, estimate.message_spread),
    ):
        if spread is not None and weight:
            total = total + weight * spread.sum() / counts.atoms
    return total


def _penalty(error: Tensor, kind: str, delta: float) -> Tensor:
    """Sum of squares, or of twice Huber's loss, which is the same for small errors; where there is
    no label nothing.
    """
    error = error[torch.isfinite(error)]
    if kind == "mse":
        return error.square().sum()
    zero = torch.zeros_like(error)
    return 2.0 * nn.functional.huber_loss(error, zero, reduction="sum", delta=delta)
