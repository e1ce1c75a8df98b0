"""Gradients of the loss of a batch, of which every process computes its share."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..evaluation.evaluation import EvaluationRequest
from ..evaluation.rotation_error import random_rotations
from ..frames import FrameSet
from ..model import PET
from .batches import Batches
from .data import Frame
from .loss import Counts, loss, predict
from .options import FitOptions
from .schedule import Schedule
from .state import Counters
from .workers import Workers


class BatchGradients:
    """Computes the gradients of the loss with respect to the weights.

    Random numbers depend on the seed of the options and the step alone, so that a batch gives the
    same gradients however it is shared among processes, and after a resume.

    :param fit: weights of the loss, precision and seed
    :param batches: makes graphs and labels
    :param schedule: weight of the energies, and whether frames are drawn
    :param workers: the processes that share each batch
    :param rotate: turn each structure by a random rotation
    """

    def __init__(
        self,
        fit: FitOptions,
        batches: Batches,
        schedule: Schedule,
        workers: Workers,
        rotate: bool,
    ) -> None:
        self.fit, self.batches, self.schedule = fit, batches, schedule
        self.workers, self.rotate = workers, rotate

    def accumulate(self, network: PET, frames: list[Frame], counters: Counters) -> float:
        """Add the gradients of this process's share of a batch to those of the parameters.

        :param frames: of the whole batch
        :return: the share of the loss
        """
        step, elapsed = counters.step, counters.elapsed
        sizes = [len(frame.system) for frame in frames]
        own = self.workers.share(sizes)
        if own.start == own.stop:
            return 0.0
        rotations = None
        if self.rotate:
            rotations = random_rotations(len(frames), self._seed(step))[own]
        graph, labels = self.batches.make(frames[own], rotations)
        sampler = None
        if self.schedule.sampled(step, elapsed):
            sampler = self._sampling(step, sum(sizes), sum(sizes[: own.start]), sum(sizes[own]))
        unit = self.batches.scales.energy
        draws = self.fit.frames_drawn
        request = EvaluationRequest(
            weights_too=True,
            sampler=sampler,
            variances=sampler is None or draws > 1,
            low_precision=self.fit.precision == "bfloat16",
        )
        predicted = predict(network, graph, request, unit)
        if sampler is not None and draws > 1:
            predicted = predicted.estimated_from(draws)
        atoms = torch.tensor(graph.sizes, dtype=torch.float64, device=self.batches.device)
        fit = self.schedule.weighted(step, elapsed)
        value = loss(predicted, labels, atoms, fit, unit, Counts.of(frames))
        value.backward()  # type: ignore[no-untyped-call] # torch's
        return value.item()

    def _seed(self, step: int) -> int:
        return (self.fit.seed * 1_000_003 + step) % 2**63

    def _sampling(
        self, step: int, atoms: int, first: int, count: int
    ) -> Callable[[FrameSet], FrameSet]:
        """Draws frames of each centre, and turns each of them at random if so asked.

        :param atoms: number of atoms of the whole batch
        :param first: position of this process's first atom among them
        :param count: number of atoms of this process
        """
        generator = torch.Generator().manual_seed(self._seed(step))
        per_atom = self.fit.frames_drawn
        own = slice(first, first + count)

        def draw(frames: FrameSet) -> FrameSet:
            device = frames.weights.device
            numbers = torch.rand(atoms, per_atom, generator=generator, dtype=torch.float64)
            drawn = frames.sample(draw=numbers[own].to(device))
            if not self.fit.random_turns:
                return drawn
            turns = random_rotations(atoms * per_atom, int(numbers[0, 0] * 2**53))
            turns = turns.reshape(atoms, per_atom, 3, 3)[own].reshape(-1, 3, 3)
            return drawn.turned_each(torch.as_tensor(turns, device=device))

        return draw
