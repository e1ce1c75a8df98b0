"""Gentle tuning of the student towards the teacher's labels; the best weights are kept."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import PetDriverError
from ..files.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from ..graph import System
from ..training import Training, TrainingOptions
from ..training.accuracy import SYMMETRIZATION
from ..training.data import Frame, Split
from ..training.frame_drawing import share_of_drawing
from ..training.labels import Labels
from ..training.loop import Loop
from ..training.monitor import Monitor
from ..training.options import DataOptions, FitOptions
from ..training.order import grouped
from ..training.workers import Workers
from .measures import MAY_GROW
from .teacher import TeacherLabel

LEARNING_RATE = 4e-4
_BETA2 = 0.95  # with torch's 0.999 the loss jumps at this rate
_START, _BEST = "student.safetensors", "best.safetensors"
_SOURCE = "teacher"
_ATOMS_IN_BATCH = 64  # or one structure: labels have little noise, so more steps are worth more
_VALIDATIONS = 12
_TIMED = 4  # steps
_FRAMES_DRAWN = 2  # per atom: a variance needs two
_SCORES = "validation"  # key of the card of the best weights


@dataclass(frozen=True)
class Scores:
    """Root-mean-square distances of validation structures from the teacher.

    forces: eV/angstrom; energy: eV/atom; symmetrization: of the symmetrization force, eV/angstrom;
    virial: eV/atom, 0 without.
    """

    forces: float
    energy: float
    symmetrization: float
    virial: float = 0.0

    @classmethod
    def of(cls, row: dict[str, float]) -> Scores:
        """Scores of a row of the training's log, whose numbers are in meV."""
        names = (
            "force_rmse_meV_per_angstrom",
            "energy_rmse_meV_per_atom",
            SYMMETRIZATION,
            "virial_rmse_meV_per_atom",
        )
        return cls(*(1e-3 * row.get(name, 0.0) for name in names))

    def better_than(self, best: Scores, limits: Scores) -> bool:
        """Whether the forces are nearer to the teacher, and all else stays within its limit."""
        return (
            self.forces < best.forces
            and self.energy <= limits.energy
            and self.symmetrization <= limits.symmetrization
            and self.virial <= limits.virial
        )

    def at_least(self, other: Scores) -> Scores:
        """The larger of each two numbers."""
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Scores(*(max(pair) for pair in pairs))


@dataclass(frozen=True)
class TuningOptions:
    """How long and how gently a student is tuned.

    seconds: of all runs together; learning_rate: of Muon and AdamW; steps: most of them, None: as
    many as there is time for; device: "cpu", "cuda" or "cuda:N"; changes: options of the training
    that differ from the recipe, to compare recipes.
    """

    seconds: float
    learning_rate: float = LEARNING_RATE
    steps: int | None = None
    device: str = "cpu"
    seed: int = 0
    changes: Mapping[str, Any] = field(default_factory=dict)


class Tuning:
    """Tunes a student on labelled structures and keeps the best weights on the way.

    :param student: model in scope "layer"
    :param training: positions of the structures to tune on; validation: to choose the weights by
    :param folder: of the training; it resumes from there
    """

    def __init__(
        self,
        student: Checkpoint,
        training: Sequence[Frame],
        validation: Sequence[Frame],
        properties: Sequence[str],
        options: TuningOptions,
        folder: Path,
    ) -> None:
        self.student, self.options, self.folder = student, options, folder
        self._split = Split(list(training), list(validation), [])
        self._properties = {name: name for name in properties}
        save_checkpoint(student, folder / _START)
        self._drawn_share = 0.0
        # All frames: steps are timed.
        self._training = self._made(dataclasses.replace(self._fit(), sampled_share=0.0))
        network, batches = self._training.state.network, self._training.batches
        self._drawn_share = share_of_drawing(network, batches, self._split.training)
        self.untouched = Scores.of(self._training.validate(0.0))

    def run(self, limits: Scores) -> Checkpoint:
        """Tune, or go on, until the time is over.

        :param limits: what the energies and the symmetrization force may reach, where they were
            lower before; virials may grow a little, in any case
        :return: the best weights by the forces of the validation structures, or the untouched ones
        :raises PetDriverError: if the state of a former run is damaged
        """
        fit = self._timed()
        training = self._training = self._made(fit)
        training.resume()
        best = _Best(training, self.student, self.folder / _BEST, self.untouched, limits)
        counters = training.state.counters
        monitor = Monitor(fit, counters, self.folder)
        loop = Loop(fit, training.schedule, counters, monitor)
        try:
            loop.run(training.take_step, best.validate, training.save_state)
        except PetDriverError as error:
            warnings.warn(f"the tuning ended early: {error}", stacklevel=2)
        return best.model()

    def _made(self, fit: FitOptions) -> Training:
        data = DataOptions(file=_SOURCE, property_keys=self._properties)
        options = TrainingOptions(self.student.name, data, {}, fit)
        alone = Workers(self.options.device, alone=True)
        return Training(options, self.folder, self.folder, workers=alone, split=self._split)

    def _fit(self) -> FitOptions:
        """Options of the training, of which the intervals are set by `_timed`.

        At first two frames of each atom are drawn where there are more than a few, which makes
        steps cheap. The variances over them are penalized, so that the forces stay right when all
        frames are averaged, as they will be in use. Total energies and stresses have small weights
        before the forces are right: each step shifts them for a whole structure, and that noise
        would dominate the gradient. The energies of single atoms, which the teacher knows, count
        most at first. Labels have no outliers, so all losses are squares. Weights do not decay:
        they should stay close. Muon's steps have a fixed size, so that at a low rate no odd
        structure moves the weights far.
        """
        options = self.options
        fit = FitOptions(
            steps=options.steps or 1_000_000_000,
            schedule="steps" if options.steps else "time",
            max_time=options.seconds,
            batch_atoms=_ATOMS_IN_BATCH,
            optimizer="muon",
            learning_rate=options.learning_rate,
            adamw_beta2=_BETA2,
            weight_decay=0.0,
            energy_weight=20.0,
            atom_energy_weight=20.0,
            energy_ramp=2.0,
            final_share=0.2,
            final_energy_weight=20.0,
            energy_variance_weight=10.0,
            force_loss="mse",
            stress_loss="mse",
            stress_weight=0.5,
            stress_ramp=2.0,
            sampled_share=self._drawn_share,
            frames_drawn=_FRAMES_DRAWN,
            message_variance_weight=0.1,
            symmetrization_weight=1.0,
            rotate=False,
            checkpoint_minutes=1.0,
            start_from=str(self.folder / _START),
            baseline="keep",
            seed=options.seed,
        )
        return dataclasses.replace(fit, **options.changes)

    def _timed(self) -> FitOptions:
        """Options with intervals in steps, from an estimate of the number of steps."""
        steps = self.options.steps or max(self.options.seconds / self._seconds_of_step(), 1.0)
        return dataclasses.replace(
            self._fit(),
            warmup_steps=max(min(round(0.05 * steps), 100), 1),
            validate_every=max(round(steps / _VALIDATIONS), 1),
            ema_decay=1.0 - 1.0 / min(max(0.05 * steps, 2.0), 500.0),
        )

    def _seconds_of_step(self) -> float:
        """Seconds of a step with all frames, from a few that leave the weights unchanged.

        Structures differ in size, so the time per atom counts, and of that the shortest, as other
        programs may have disturbed a step. The first one is slower than those that follow.
        """
        training, state = self._training, self._training.state
        order, spent = state.order, []
        for _ in range(_TIMED):
            chosen = order.next()
            start = time.perf_counter()
            frames = [self._split.training[i] for i in chosen]
            training.gradients.accumulate(state.network, frames, state.counters)
            state.optimizer.zero_grad()
            spent.append((time.perf_counter() - start) / sum(order.sizes[i] for i in chosen))
        batches = grouped(order.sizes, order.count, order.atoms)
        return min(spent[1:]) * sum(order.sizes) / len(batches)


class _Best:
    """The best weights so far, in a file, so that an interrupted run keeps them.

    :param untouched: scores of the student
    :param limits: see `Tuning.run`
    """

    def __init__(
        self,
        training: Training,
        student: Checkpoint,
        path: Path,
        untouched: Scores,
        limits: Scores,
    ) -> None:
        self.training, self.student, self.path = training, student, path
        virial = MAY_GROW * untouched.virial
        self._limits = limits.at_least(dataclasses.replace(untouched, virial=virial))
        self.scores = untouched
        if path.exists():
            self.scores = Scores(*load_checkpoint(path).card[_SCORES])

    def validate(self, loss: float) -> dict[str, float]:
        """A row of the log; writes the averaged weights if they are the best so far."""
        row = self.training.validate(loss)
        scores = Scores.of(row)
        if scores.better_than(self.scores, self._limits):
            weights = self.training.state.averaged_network.state_dict()
            found = dataclasses.replace(
                self.student,
                weights={key: x.detach().to("cpu", copy=True) for key, x in weights.items()},
                card={_SCORES: list(dataclasses.astuple(scores))},
            )
            save_checkpoint(found, self.path)
            self.scores = scores
        return row

    def model(self) -> Checkpoint:
        """The student with the best weights."""
        if not self.path.exists():
            return self.student
        return dataclasses.replace(self.student, weights=load_checkpoint(self.path).weights)


def labelled_frame(system: System, label: TeacherLabel, index: int) -> Frame:
    """A structure as training takes it; a stress only where the volume is defined.

    :param index: of the structure in the list of all
    """
    frame = Frame(system, Labels(label.energy, label.forces), index, _SOURCE)
    if system.pbc.all():
        frame.labels.stress = -label.virial / frame.volume
    frame.labels.properties = dict(label.properties)
    frame.labels.atom_energies = label.energies
    return frame
