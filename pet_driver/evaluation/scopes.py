"""Scopes of the average over frames, and the evaluation of a graph in each of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from ..frames import FrameConstants, FrameSet, environment_frames, fixed_rotations, pooled_frames
from ..graph import Graph, truncate
from ..model import PET, Output, PassOptions
from ..runtime.arithmetic import Arithmetic
from ..runtime.table_sizes import TableSizes
from .evaluation import Evaluation, EvaluationRequest
from .rotated_copies import CopyEvaluator, RotatedCopies
from .sample_memory import SampleMemory

_COPIES_BEYOND = 4  # times as many axial copies where atoms beyond the neighbors are seen
_FRAMES_SHARE = 0.25  # of the memory, for the construction of frames


class Evaluator:
    """A network, and the average of its results over frames.

    :param scope: what is averaged. "layer": messages and readout of every centre, layer by layer;
        "atom": the energy of every atom, whose whole receptive field is rotated into each of its
        frames; "structure": the whole structure, rotated into the frames of all its atoms, as in
        the original code; "none": nothing
    :param constants: of the frames; None: those of the network's hyperparameters
    :param extra_rotations: number of further, fixed orientations in which every frame is used
    :param parity: whether mirror images of the frames are used too, for invariance under O(3)
    :param arithmetic: of a GPU; None: torch's settings

    at_once: most samples at a time in the last evaluation, None: all.
    """

    def __init__(
        self,
        network: PET,
        scope: str,
        constants: FrameConstants | None = None,
        extra_rotations: int = 0,
        parity: bool = False,
        arithmetic: Arithmetic | None = None,
    ) -> None:
        self.network = network
        self.arithmetic = arithmetic or Arithmetic()
        self.scope = scope
        self.at_once: int | None = None
        self.memory = SampleMemory(network)
        constants = constants or network.hyper.frames
        # On the device from the start: a step uploads positions only.
        device = network.message_embedder.weight.device
        self._rotations = fixed_rotations(extra_rotations, parity).to(device)
        self._turns_count = bool(network.hyper.properties)
        if scope in ("atom", "structure") and network.hyper.exchanges:
            # Copies contain atoms beyond the neighbors that axial frames are made of, and these
            # may be far from the axis.
            self._turns_count = True
            copies = _COPIES_BEYOND * constants.axial_copies
            constants = dataclasses.replace(constants, axial_copies=copies)
        self._constants = constants

    def evaluate(self, graph: Graph, request: EvaluationRequest | None = None) -> Evaluation:
        """Energies of this process's own atoms, and their gradient, in units of the network.

        Collective over the processes that share the graph. The scopes atom and structure always
        compute the gradient, and take no ``weights_too``, ``sampler``, ``variances`` or
        ``low_precision``.

        :param request: None: the defaults of `EvaluationRequest`
        """
        request = request or EvaluationRequest()
        rotates_copies = self.scope in ("atom", "structure")
        differentiates = request.gradient or rotates_copies
        vectors = graph.vectors.detach().requires_grad_(differentiates)
        arithmetic = self.arithmetic.context()
        with torch.set_grad_enabled(differentiates), _backward_in_this_thread(), arithmetic:
            hyper = self.network.hyper
            seen = truncate(graph.with_vectors(vectors), hyper, request.memory, request.sizes)
            self.memory.check(seen.padded.n_neighbors, self.scope != "none")
            if rotates_copies:
                return self._evaluate_copies(seen, vectors, request)
            return self._evaluate_layers(seen, vectors, request)

    @property
    def n_rotations(self) -> int:
        """Number of fixed rotations in which every frame is used."""
        return len(self._rotations)

    def frames(self, graph: Graph) -> FrameSet:
        """Frames of every centre of a graph. Collective over the processes that share it."""
        return self._frames(truncate(graph, self.network.hyper))

    def energy_variance(self, graph: Graph, request: EvaluationRequest) -> Tensor:
        """Variance of the energy of each atom over its own frames, (n_centres,).

        Messages are averaged as in scope "layer". In units of the network, squared.

        :param request: of which the memory and the chunk count
        """
        output = self._without_gradient(graph, request, "layer", PassOptions(variances=True))
        assert output.energy_variance is not None  # as it was asked for
        return output.energy_variance

    def features(self, graph: Graph, request: EvaluationRequest) -> Tensor:
        """Inputs of the last layers of the energy's heads, (n_centres, n_features), float64.

        Those of the plain network or, in the scope "layer", averaged over frames.

        :param request: of which the memory and the chunk count
        """
        output = self._without_gradient(graph, request, self.scope, PassOptions(features=True))
        assert output.features is not None  # as they were asked for
        return output.features.to(torch.float64)

    def _without_gradient(
        self, graph: Graph, request: EvaluationRequest, scope: str, options: PassOptions
    ) -> Output:
        """Results of the network, averaged over frames in the scope "layer"."""
        with torch.no_grad(), self.arithmetic.context():
            seen = truncate(graph, self.network.hyper, request.memory)
            frames = self._frames(seen, request.memory) if scope == "layer" else None
            messages = seen.exchange.messages(seen.padded)
            options = dataclasses.replace(options, chunk=self._chunk(seen, request))
            output: Output = self.network(seen.network_input(), frames, messages, options)
        return output

    def _evaluate_layers(
        self, seen: Graph, vectors: Tensor, request: EvaluationRequest
    ) -> Evaluation:
        """Evaluate in the scopes layer and none."""
        hyper = self.network.hyper
        made = None
        if self.scope == "layer":
            made = self._frames(seen, request.memory, sizes=request.sizes)
        frozen = None if made is None else made.leaf()
        options = PassOptions(
            chunk=None if request.sizes else self._chunk(seen, request),
            variances=request.variances,
            # Plain PET of another program must keep its own predictions.
            fade=self.scope != "none" or not hyper.foreign.directions_alone,
            frozen=request.frozen and vectors.device.type == "cpu",
            sizes=request.sizes,
        )
        with torch.autocast(vectors.device.type, torch.bfloat16, enabled=request.low_precision):
            messages = seen.exchange.messages(seen.padded)
            output = self.network(
                seen.network_input(), _sampled(frozen, request), messages, options
            )
        symmetrization = None
        if not request.gradient:
            gradient = torch.zeros_like(vectors)
        else:
            # After truncation the network and the frames share the way back to the vectors.
            shared = seen.vectors is not vectors or seen.cutoffs is not None
            keep = request.weights_too or shared
            gradient, symmetrization = _gradients(
                output.energies.sum(), vectors, made, frozen, request.weights_too, keep
            )
        found = Evaluation(
            output.energies,
            gradient,
            output.properties,
            output.energy_variance,
            output.message_variance,
            symmetrization,
        )
        return found if request.weights_too else detached(found)

    def _evaluate_copies(
        self, seen: Graph, vectors: Tensor, request: EvaluationRequest
    ) -> Evaluation:
        """Evaluate in the scopes atom and structure."""
        copies = self._copies(seen, request.memory)
        chunk = self._chunk(seen, request) or torch.iinfo(torch.int64).max
        evaluator = CopyEvaluator(self.network, seen, chunk)
        energies, properties, plain, through = evaluator.evaluate(vectors, copies)
        n_owned = seen.n_owned
        properties = {name: x[:n_owned] for name, x in properties.items()}
        return Evaluation(energies[:n_owned], plain + through, properties, symmetrization=through)

    def _frames(
        self,
        seen: Graph,
        memory: int | None = None,
        n_centres: int | None = None,
        sizes: TableSizes | None = None,
    ) -> FrameSet:
        """Frames of every centre of a truncated graph.

        :param memory: bytes that may be kept for a backward pass; None: as many as it takes
        :param n_centres: of the first so many centres only
        :param sizes: of the tables over neighbors and frames; not with a limit of the memory
        """
        hyper = self.network.hyper
        per_centre = self.memory.of_frames(seen.padded.n_neighbors)
        if sizes is not None:
            memory = None
        frames = environment_frames(
            seen.frame_vectors(hyper.cutoff)[:n_centres],
            seen.padded.valid[:n_centres],
            hyper.cutoff,
            self._constants,
            self._turns_count,
            None if memory is None else max(int(_FRAMES_SHARE * memory) // per_centre, 1),
            sizes,
        )
        return frames.turned(self._rotations)

    def _copies(self, seen: Graph, memory: int | None) -> list[RotatedCopies]:
        if self.scope == "atom":
            return [RotatedCopies.of_atoms(self._frames(seen, memory, seen.n_owned))]
        hyper = self.network.hyper
        pooled, axial = pooled_frames(
            seen.frame_vectors(hyper.cutoff),
            seen.padded.valid,
            hyper.cutoff,
            self._constants,
            seen.structure,
            len(seen.sizes),
            self._turns_count,
        )
        counts = torch.tensor(seen.sizes, device=seen.structure.device)
        return [
            RotatedCopies.of_structures(pooled.turned(self._rotations), counts),
            RotatedCopies.of_atoms(axial.turned(self._rotations)),
        ]

    def _chunk(self, seen: Graph, request: EvaluationRequest) -> int | None:
        """Most samples that are evaluated at a time."""
        self.at_once = request.chunk
        if request.memory is not None:
            fits = self.memory.chunk(seen.padded.n_neighbors, request.memory)
            self.at_once = min(fits, request.chunk or fits)
        return self.at_once


def _backward_in_this_thread() -> AbstractContextManager[object]:
    """Context without autograd's own threads for devices.

    Backward passes exchange messages, and MPI may allow calls of the main thread only.
    """
    context: AbstractContextManager[object] = torch.autograd.set_multithreading_enabled(False)
    return context


def detached(found: Evaluation) -> Evaluation:
    """Evaluation without the autograd graph."""

    def cut(x: Tensor | None) -> Tensor | None:
        return None if x is None else x.detach()

    return Evaluation(
        found.energies.detach(),
        found.gradient.detach(),
        {name: x.detach() for name, x in found.properties.items()},
        cut(found.energy_variance),
        cut(found.message_variance),
        cut(found.symmetrization),
    )


def _sampled(
    frames: FrameSet | None, request: EvaluationRequest
) -> FrameSet | Callable[[], FrameSet] | None:
    sampler = request.sampler
    if sampler is None or frames is None:
        return frames
    return lambda: sampler(frames)


def _gradients(
    energy: Tensor,
    vectors: Tensor,
    made: FrameSet | None,
    frozen: FrameSet | None,
    weights_too: bool,
    keep: bool,
) -> tuple[Tensor, Tensor | None]:
    """Gradient of the energy with respect to the edge vectors, and its part through the frames.

    :param made: frames and weights as functions of the vectors; None: plain PET, which has no such
        part
    :param frozen: the same, cut off from the vectors, as the network used them
    :param weights_too: keep what a gradient with respect to the weights needs
    :param keep: keep what the network has recorded for the pass through the frames
    """
    if made is None or frozen is None:
        (plain,) = torch.autograd.grad(
            energy, vectors, create_graph=weights_too, materialize_grads=True
        )
        return plain, None
    plain, *of_frames = torch.autograd.grad(
        energy,
        [vectors, frozen.frames, frozen.weights],
        create_graph=weights_too,
        retain_graph=keep,
        allow_unused=True,
    )
    plain = torch.zeros_like(vectors) if plain is None else plain
    # Drawn frames do not use the weights: no pass through their construction then.
    used = [
        (x, slope)
        for x, slope in zip((made.frames, made.weights), of_frames, strict=True)
        if slope is not None and x.requires_grad
    ]
    if not used:
        return plain, torch.zeros_like(plain)
    (through,) = torch.autograd.grad(
        [x for x, _ in used],
        vectors,
        [slope for _, slope in used],
        create_graph=weights_too,
        materialize_grads=True,
    )
    return plain + through, through
