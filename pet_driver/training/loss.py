"""Predictions of a batch as functions of the weights, and their loss compared with labels."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..evaluation.evaluation import EvaluationRequest
from ..evaluation.repulsion import Repulsion
from ..evaluation.scopes import Evaluator
from ..graph import Graph
from ..model import PET
from .data import Frame
from .options import FitOptions
from .values import BatchValues


def predict(
    network: PET, graph: Graph, request: EvaluationRequest | None = None, unit: float = 1.0
) -> BatchValues:
    """Predict energies, forces, virials and covariant outputs, in units of the network.

    :param request: None: with variances over all frames; only scope "layer" has variances
    :param unit: eV per unit of the network
    """
    hyper = network.hyper
    request = request or EvaluationRequest(variances=True)
    if hyper.scope != "layer":
        request = dataclasses.replace(request, variances=False)
    found = Evaluator(network, hyper.scope).evaluate(graph, request)
    repulsion = Repulsion.of(hyper, graph.vectors.device)
    if repulsion is not None:
        energies, gradient = repulsion.energies(graph)
        found = dataclasses.replace(
            found,
            energies=found.energies.to(torch.float64) + energies / unit,
            gradient=found.gradient + gradient / unit,
        )
    return BatchValues.of(found, graph)


@dataclass
class Counts:
    """Numbers of labels in a batch, of the whole batch where several processes share it.

    energies, forces, virials, properties: of energies, force components, virial components and
    components of all properties; atom_energies: of energies of atoms; atoms: number of atoms.
    """

    energies: int
    forces: int
    virials: int
    properties: int
    atom_energies: int
    atoms: int

    @classmethod
    def of(cls, frames: list[Frame]) -> Counts:
        """Count the labels of some frames."""
        labels = [frame.labels for frame in frames]
        return cls(
            sum(x.energy is not None for x in labels),
            sum(x.forces.size for x in labels if x.forces is not None),
            sum(x.stress.size for x in labels if x.stress is not None),
            sum(value.size for x in labels for value in x.properties.values()),
            sum(x.atom_energies.size for x in labels if x.atom_energies is not None),
            sum(len(frame.system) for frame in frames),
        )


def loss(
    predicted: BatchValues,
    labels: BatchValues,
    sizes: Tensor,
    fit: FitOptions,
    unit: float,
    counts: Counts,
) -> Tensor:
    """Weighted sum of errors and of variances over frames, see `FitOptions`.

    The errors are those of energies and virials per atom, of force components, of covariant
    outputs, and of energies of atoms relative to their mean over the structure. Errors are counted
    as squares, or beyond Huber's delta linearly. The variances make forces change little where one
    frame replaces another.

    :param sizes: (n_structures,), number of atoms
    :param fit: with the weights at this step, see `Schedule.weighted`
    :param unit: eV per unit of the network
    :param counts: numbers of labels that make the sums averages
    """
    # Depends on the weights even where no label counts, as energies at the first step.
    total = 0.0 * predicted.energies.sum()

    def add(
        weight: float, found: Tensor, wanted: Tensor, form: str, delta: float, count: int
    ) -> None:
        """Add the errors of what has labels; a prediction that is not finite spoils the total."""
        nonlocal total
        if weight and count:
            error = (found - wanted)[torch.isfinite(wanted)]
            total = total + weight * _penalty(error, form, delta / unit) / count

    cells = sizes[:, None, None]
    energies = predicted.energies / sizes, labels.energies / sizes
    add(fit.energy_weight, *energies, fit.energy_loss, fit.energy_delta, counts.energies)
    forces = predicted.forces, labels.forces
    add(fit.force_weight, *forces, fit.force_loss, fit.huber_delta, counts.forces)
    virials = predicted.virials / cells, labels.virials / cells
    add(fit.stress_weight, *virials, fit.stress_loss, fit.stress_delta, counts.virials)
    if predicted.atom_energies is not None and labels.atom_energies is not None:
        found, wanted = predicted.atom_energies, labels.atom_energies
        of_atoms = _without_mean(found, sizes), _without_mean(wanted, sizes)
        add(fit.atom_energy_weight, *of_atoms, "mse", 1.0, counts.atom_energies)
    for name, values in labels.properties.items():
        # The total is a sum over atoms: its natural error grows as the root of their number.
        share = sizes.sqrt().view(-1, *(1,) * (values.dim() - 1))
        outputs = predicted.properties[name] / share, values / share
        add(fit.property_weight, *outputs, "mse", 1.0, counts.properties)
    for weight, variance in (
        (fit.energy_variance_weight, predicted.energy_variance),
        (fit.message_variance_weight, predicted.message_variance),
    ):
        if variance is not None and weight:
            total = total + weight * variance.sum() / counts.atoms
    if fit.symmetrization_weight and predicted.symmetrization_forces is not None:
        force = predicted.symmetrization_forces
        none = torch.zeros_like(force)
        delta, components = fit.huber_delta, 3 * counts.atoms
        add(fit.symmetrization_weight, force, none, fit.force_loss, delta, components)
    return total


def _without_mean(values: Tensor, sizes: Tensor) -> Tensor:
    """Values of atoms, less their mean over the structure.

    Each step shifts the energies of all atoms of a structure; that noise would dominate.

    :param values: (n_atoms,)
    :param sizes: (n_structures,), numbers of atoms
    """
    # The length is given so that a GPU need not be waited for.
    structure = torch.repeat_interleave(sizes.to(torch.int64), output_size=len(values))
    totals = torch.zeros_like(sizes).index_add(0, structure, values)
    return values - (totals / sizes).index_select(0, structure)


def _penalty(error: Tensor, form: str, delta: float) -> Tensor:
    """Sum of squares, or of twice Huber's loss, which is the same for small errors.

    :param form: "mse" or "huber"
    :param delta: of Huber's loss, in units of the error
    """
    if form == "mse":
        return error.square().sum()
    zero = torch.zeros_like(error)
    return 2.0 * nn.functional.huber_loss(error, zero, reduction="sum", delta=delta)
