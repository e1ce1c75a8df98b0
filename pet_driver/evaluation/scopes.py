"""Energies and their gradient with respect to edge vectors, in units of the network, for each scope
of averaging over frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..frames import FrameSet, environment_frames, fixed_rotations, pooled_frames
from ..graph import PaddedNeighbors
from ..graph.edge_exchange import EdgeExchange
from ..graph.truncation import TruncatedGraph
from ..model import PET
from .rotated_copies import CopyEvaluator, RotatedCopies

SCOPES = ("layer", "atom", "structure", "none")
# Numbers kept for the backward pass per token, attention layer and feature, and per pair of
# neighbors in the construction of frames (in float64); measured on the default network.
_PER_TOKEN = 40
_PER_PAIR = 60
_FRAMES_SHARE = 0.25  # of the memory, for the construction of frames


@dataclass
class Evaluation:
    """energies: (n_atoms,); properties: (n_atoms, 3) or (n_atoms, 3, 3) each; gradient: of the sum
    of the energies with respect to the edge vectors, (n_edges, 3)."""

    energies: Tensor
    properties: dict[str, Tensor]
    gradient: Tensor


class Evaluator:
    """A network and how its results are averaged.

    :param scope: "layer": what every centre sends and reads out, layer by layer; "atom": the energy
        of every atom, its whole receptive field in each of its frames; "structure": the whole
        structure in the frames of all its atoms, as the original code does; "none": nothing
    :param extra_rotations: every frame is used in so many further, fixed orientations
    :param parity: and in their mirror images, for invariance under O(3)
    """

    def __init__(
        self, network: PET, scope: str, extra_rotations: int = 0, parity: bool = False
    ) -> None:
        self.network = network
        self.scope = scope
        self.turns = fixed_rotations(extra_rotations, parity)
        self.covariant = bool(network.hyper.properties)

    def frames(
        self, near: TruncatedGraph, memory: int | None = None, roots: int | None = None
    ) -> FrameSet:
        """Frames of every centre.

        :param memory: bytes that may be kept for a backward pass; None: as many as it takes
        :param roots: of the first so many centres only
        """
        hyper = self.network.hyper
        environments = near.environments
        per_centre = 8 * _PER_PAIR * environments.n_neighbors**2
        rows = environment_frames(
            near.frame_vectors(hyper.cutoff)[:roots],
            environments.valid[:roots],
            hyper.cutoff,
            hyper.frames,
            self.covariant,
            None if memory is None else max(int(_FRAMES_SHARE * memory) // per_centre, 1),
        )
        return rows.turned(self.turns)

    def evaluate(
        self,
        environments: PaddedNeighbors,
        vectors: Tensor,
        plan: EdgeExchange,
        structure: Tensor,
        sizes: list[int],
        memory: int,
        chunk: int | None = None,
        with_gradient: bool = True,
    ) -> Evaluation:
        """
        :param vectors: (n_edges, 3), angstrom, float64
        :param structure: (n_centres,), index of the structure of each centre
        :param sizes: number of atoms of each structure
        :param memory: bytes that may be used for what the backward pass needs
        :param chunk: most rows evaluated at a time; None chooses by memory
        :param with_gradient: otherwise it is zero, which saves time in the scopes layer and none
        :return: of the atoms that the plan calls roots
        """
        vectors = vectors.detach().requires_grad_(with_gradient)
        with torch.set_grad_enabled(with_gradient):
            near = TruncatedGraph.of(self.network.hyper, environments, vectors, plan, memory)
            chunk = chunk or self._rows_within(memory, near.environments.n_neighbors)
            if self.scope in ("atom", "structure"):
                fields = CopyEvaluator(self.network, near.environments, near.plan.local_reverse())
                roots = plan.n_roots
                copies = self._copies(near, structure, sizes, memory, roots)
                energies, properties, gradient = fields.evaluate(
                    vectors, copies, chunk, near.vectors, near.cutoffs
                )
                properties = {name: x[:roots] for name, x in properties.items()}
                return Evaluation(energies[:roots], properties, gradient)
            rows = None
            if self.scope == "layer":
                rows = self.frames(near, memory)
            # Where nothing is averaged, others' models are left as they are.
            fade = self.scope != "none" or not self.network.hyper.directions_alone
            messages = near.plan.messages(near.environments)
            output = self.network(near.neighborhoods(), rows, messages, chunk, fade=fade)
            gradient = torch.zeros_like(vectors)
            if with_gradient:
                (gradient,) = torch.autograd.grad(
                    output.energies.sum(), vectors, materialize_grads=True
                )
        properties = {name: x.detach() for name, x in output.properties.items()}
        return Evaluation(output.energies.detach(), properties, gradient)

    def energy_variance(
        self, environments: PaddedNeighbors, vectors: Tensor, plan: EdgeExchange
    ) -> Tensor:
        """(n_centres,), variance of the energy of each atom over its own frames, messages averaged
        as in scope "layer"."""
        with torch.no_grad():
            near = TruncatedGraph.of(self.network.hyper, environments, vectors, plan)
            rows = self.frames(near)
            return self.network(
                near.neighborhoods(),
                rows,
                near.plan.messages(near.environments),
                spread=True,
            ).energy_spread

    def features(
        self, environments: PaddedNeighbors, vectors: Tensor, plan: EdgeExchange, memory: int
    ) -> Tensor:
        """(n_centres, n_features), float64: what the last layers of the energy's heads take, in the
        plain network or, in the scope "layer", averaged over frames."""
        with torch.no_grad():
            near = TruncatedGraph.of(self.network.hyper, environments, vectors, plan, memory)
            rows = self.frames(near, memory) if self.scope == "layer" else None
            messages = near.plan.messages(near.environments)
            output = self.network(near.neighborhoods(), rows, messages, features=True)
        return output.features.to(torch.float64)

    def _copies(
        self,
        near: TruncatedGraph,
        structure: Tensor,
        sizes: list[int],
        memory: int,
        roots: int | None,
    ) -> list[RotatedCopies]:
        if self.scope == "atom":
            return [RotatedCopies.of_atoms(self.frames(near, memory, roots))]
        hyper = self.network.hyper
        pooled, axial = pooled_frames(
            near.frame_vectors(hyper.cutoff),
            near.environments.valid,
            hyper.cutoff,
            hyper.frames,
            structure,
            len(sizes),
            self.covariant,
        )
        counts = torch.tensor(sizes, device=structure.device)
        return [
            RotatedCopies.of_structures(pooled.turned(self.turns), counts),
            RotatedCopies.of_atoms(axial.turned(self.turns)),
        ]

    def _rows_within(self, memory: int, n_neighbors: int) -> int:
        hyper = self.network.hyper
        weight = self.network.message_embedder.weight
        layers = hyper.attention_layers * hyper.message_layers
        numbers = _PER_TOKEN * (n_neighbors + 1) * hyper.width * layers
        return max(memory // (numbers * weight.element_size()), 16)


def scope_advice(trained: str, chosen: str, message_layers: int) -> str | None:
    """What running in another scope than that of training means for accuracy; None: nothing."""
    if chosen == trained or (message_layers == 1 and {trained, chosen} == {"layer", "atom"}):
        return None
    if trained == "none" and chosen != "layer":
        return (
            "an average over orientations, exactly invariant; the errors of the model card hold "
            "approximately"
        )
    if trained == "none" and message_layers == 1:
        return (
            "an average over frames, exactly invariant; the errors of the model card hold "
            "approximately"
        )
    if trained == "none":
        return (
            "its messages are averaged over frames, which the weights have never seen: expect "
            "larger errors than on the model card, or fine-tune with scope layer"
        )
    if chosen == "none":
        return "the energy depends on the orientation and the errors of the model card do not apply"
    return (
        "its messages are no longer averaged over frames, as they were in training: the errors of "
        "the model card do not apply"
    )
