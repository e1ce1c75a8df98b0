"""The procedure of a symmetrization: structures, teacher, frames, labels, tuning, report."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import numpy as np

from ..evaluation.frame_choice import CANDIDATES, choose_frames
from ..evaluation.potential import Potential
from ..files.checkpoint import Checkpoint
from ..frames import NAMED_CONSTANTS
from ..graph import System
from ..runtime.progress import Progress
from .measures import ALL, Cost, Deviation, LabelError, Noise, Reference, by_element
from .options import SymmetrizeOptions
from .parts import FEWEST, Parts, divided
from .report import Report, Stage, largest_symmetrization, target
from .sampling import sampled
from .structure_files import read_structure, write_structure
from .student import Student
from .teacher import FEWEST_GROUPS, Teacher, TeacherLabel, groups_needed
from .tuning import Scores, Tuning, TuningOptions, labelled_frame
from .work_folder import WorkFolder

# Of the distance aimed at: standard errors of the teacher. Errors of the structures to tune on are
# independent, so they average out, and many structures tell more than exact ones.
_ERROR_SHARE, _TRAINING_ERROR_SHARE = 0.2, 1.0
_MOST_GROUPS = 20
_PROBED, _PROBE_GROUPS = 3, 4  # structures; groups of orientations
# Shares of the time: labels at most, tuning at least, and everything before the report.
_OF_LABELS, _OF_TUNING, _BEFORE_REPORT = 0.25, 0.65, 0.92


class Procedure:
    """One symmetrization; parameters as of `symmetrize`.

    systems, references: of all structures, given and sampled; labels: those made so far, by
    position; teacher: of the structures that are held out; training_teacher: of those to tune on.
    """

    def __init__(
        self,
        origin: Checkpoint,
        student: Student,
        work: WorkFolder,
        options: SymmetrizeOptions,
        say: Callable[[str], None],
    ) -> None:
        self.origin, self.student, self.work = origin, student, work
        self.options, self.say = options, say
        self.plain = Potential(origin, scope="none", device=options.device)
        self.teacher = self.training_teacher = self._teacher(_PROBE_GROUPS)
        self.systems: list[System] = []
        self.references: list[Reference] = []
        self.labels: dict[int, TeacherLabel] = {}
        self._begun = time.monotonic()

    def run(
        self, structures: list[System], references: list[Reference]
    ) -> tuple[Checkpoint, Report]:
        """All steps, one after another."""
        for sentence in self.student.sentences:
            self.say(sentence)
        self._use_more_time()
        runs = self._sample(structures)
        self.systems = structures + [system for run in runs for system in run]
        self.references = references + [Reference(None, None)] * sum(map(len, runs))
        parts = divided(len(structures), [len(run) for run in runs], self.options.seed)
        # Of runs, some of what was set aside is never used.
        self.work.decide("structures to use", len(parts.thinned(len(self.systems)).all()))
        self._begun = time.monotonic()
        noise, seconds = self._prepare_teachers(parts)
        model = self._choose_frames(parts, noise)
        parts = self._labelled(parts.thinned(self._affordable(parts, seconds)))
        tuned = self._tuned(model, parts)
        return self._reported(model, tuned, parts)

    def _use_more_time(self) -> None:
        """Label more structures where there is more time than in an earlier run.

        Weights that were tuned on fewer are left behind.
        """
        before = self.work.decided("minutes")
        if before is not None and self.options.minutes > before:
            few, most = self.work.decided("labelled"), self.work.decided("structures to use")
            if None not in (few, most) and few < most:
                self.work.begin_tuning_anew(("structures", "labelled", "share of tuning"))
        self.work.decide("minutes", max(self.options.minutes, before or 0.0))

    def _sample(self, structures: list[System]) -> list[list[System]]:
        """Structures of each run; the runs start from the given structures in turn."""
        runs = self.options.runs
        if not runs:
            return []
        with Progress("dynamics", sum(run.segments for run in runs)) as progress:
            return [
                sampled(
                    self.plain,
                    structures[k % len(structures)],
                    run,
                    self.work.sampled(k),
                    self.options.seed + k,
                    progress.advance,
                )
                for k, run in enumerate(runs)
            ]

    def _teacher(self, groups: int) -> Teacher:
        return Teacher(self.plain, groups, self.options.parity, self.student.averaged)

    def _prepare_teachers(self, parts: Parts) -> tuple[Noise, float]:
        """Choose the numbers of orientations by the spread of a few structures.

        :return: the noise of orientation, and seconds for one group of orientations
        """
        some = parts.all()[:_PROBED]
        systems = [self.systems[i] for i in some]
        start = time.perf_counter()
        labels = [self.teacher.label(self.systems[i], self._seed(i)) for i in some]
        seconds = (time.perf_counter() - start) / (len(some) * _PROBE_GROUPS)
        noise = Noise.of(systems, labels)
        error = _ERROR_SHARE * target(noise)
        needed = groups_needed(labels, _PROBE_GROUPS, error)
        groups = self.work.decided("groups") or min(max(needed, FEWEST_GROUPS), _MOST_GROUPS)
        self.work.decide("groups", groups)
        error_of_training = _TRAINING_ERROR_SHARE * target(noise)
        of_training = min(groups_needed(labels, _PROBE_GROUPS, error_of_training), groups)
        self.teacher, self.training_teacher = self._teacher(groups), self._teacher(of_training)
        self.say(
            f"teacher: mean over {self.teacher.orientations} orientations in {groups} groups for "
            f"structures that are held out, {self.training_teacher.orientations} for others; "
            f"plain PET changes by {1e3 * noise.forces[ALL]:.3g} meV/A from one to another"
        )
        if needed > groups:
            self.say(
                f"its standard error stays above the {1e3 * error:.2g} meV/A that were aimed at; "
                "this model depends strongly on the orientation"
            )
        return noise, seconds

    def _choose_frames(self, parts: Parts, noise: Noise) -> Checkpoint:
        """The student with frame constants that keep the symmetrization force small."""
        name = self.options.frames or self.work.decided("frames")
        model = self.student.model
        if name is None:
            some = [self.systems[i] for i in parts.all()[:_PROBED]]
            with Progress("choosing frames", len(CANDIDATES)) as progress:
                choice = choose_frames(
                    model, some, progress.advance, "layer", target(noise), self.options.device
                )
            name = choice.name
        self.work.decide("frames", name)
        return dataclasses.replace(
            model, hyper=dataclasses.replace(model.hyper, frames=NAMED_CONSTANTS[name])
        )

    def _affordable(self, parts: Parts, seconds: float) -> int:
        """Number of structures that there is time to label.

        :param seconds: for one group of orientations
        """
        count: int | None = self.work.decided("structures")
        if count is None:
            budget = _OF_LABELS * 60.0 * self.options.minutes / seconds
            count = len(self.systems)
            while count > FEWEST and self._groups(parts.thinned(count)) > budget:
                count -= 1
            self.work.decide("structures", count)
        return count

    def _groups(self, parts: Parts) -> int:
        """Groups of orientations that all labels need."""
        held = len(parts.test) + len(parts.validation)
        return held * self.teacher.groups + len(parts.training) * self.training_teacher.groups

    def _labelled(self, parts: Parts) -> Parts:
        """Label the structures, or read the labels of an interrupted run.

        :return: the parts without the training structures that there was no time for; at least as
            many are labelled as are held out
        """
        start, held = time.monotonic(), len(parts.test) + len(parts.validation)
        limit = self.work.decided("labelled") or len(parts.all())
        with Progress("labelling structures", limit) as progress:
            for count, index in enumerate(parts.all()[:limit]):
                late = time.monotonic() - start > _OF_LABELS * 60.0 * self.options.minutes
                if late and count >= 2 * held:
                    limit = count
                    break
                path = self.work.label(index)
                label = read_structure(path)[1] if path.exists() else None
                if label is None:
                    teacher = self.teacher if count < held else self.training_teacher
                    label = teacher.label(self.systems[index], self._seed(index))
                    write_structure(path, self.systems[index], label)
                self.labels[index] = label
                progress.advance()
        self.work.decide("labelled", limit)
        return Parts(parts.training[: limit - held], parts.validation, parts.test)

    def _seed(self, index: int) -> int:
        return self.options.seed * 1_000_003 + index

    def _tuned(self, model: Checkpoint, parts: Parts) -> Checkpoint | None:
        """The student after tuning; None: it is good enough without, or tuning has not helped."""
        some = [self.systems[i] for i in parts.validation]
        options = TuningOptions(
            60.0 * self.options.minutes * self._share_of_tuning(),
            self.options.learning_rate,
            self.options.steps,
            self.options.device,
            self.options.seed,
        )
        training, validation = (
            [labelled_frame(self.systems[i], self.labels[i], i) for i in part]
            for part in (parts.training, parts.validation)
        )
        tuning = Tuning(
            model, training, validation, self.student.averaged, options, self.work.tuning
        )
        noise = Noise.of(some, [self.labels[i] for i in parts.validation])
        before, aim = tuning.untouched, target(noise)
        described = (
            f"without tuning, scope layer is {1e3 * before.forces:.3g} meV/A from the teacher "
            f"(noise of orientation {1e3 * noise.forces[ALL]:.3g} meV/A, aim "
            f"{1e3 * aim:.3g} meV/A) with a symmetrization force of "
            f"{1e3 * before.symmetrization:.3g} meV/A"
        )
        if before.forces <= aim and before.symmetrization <= largest_symmetrization(noise):
            self.say(f"{described}: good enough, the weights stay as they are")
            return None
        self.say(described)
        limits = Scores(np.inf, noise.energy_error, noise.forces[ALL])
        tuned = tuning.run(limits)
        return None if tuned is model else tuned

    def _share_of_tuning(self) -> float:
        """Share of the time that is left for the tuning; the same when it is resumed."""
        share: float | None = self.work.decided("share of tuning")
        if share is None:
            spent = (time.monotonic() - self._begun) / (60.0 * self.options.minutes)
            share = max(_BEFORE_REPORT - spent, _OF_TUNING)
            self.work.decide("share of tuning", share)
        return share

    def _reported(
        self, model: Checkpoint, tuned: Checkpoint | None, parts: Parts
    ) -> tuple[Checkpoint, Report]:
        """The better of both models by the test structures, and the report on them."""
        systems = [self.systems[i] for i in parts.test]
        labels = [self.labels[i] for i in parts.test]
        noise = Noise.of(systems, labels)
        before = self._stage(model, systems, parts)
        after = before
        if tuned is not None:
            after = self._stage(tuned, systems, parts)
            worse = after.harm(before, noise)
            if worse:
                self.say(
                    f"the weights stay: after tuning, held-out structures have {', '.join(worse)}"
                )
                tuned, after = None, before
        best = model if tuned is None else tuned
        exact = Potential(best, device=self.options.device)
        atom = Potential(exact.model, exact.options.replace(scope="atom"))
        report = Report(
            self.origin.name,
            tuned is not None,
            {"training": len(parts.training), "validation": len(parts.validation),
             "test": len(parts.test)},
            self.teacher.orientations,
            str(self.work.decided("frames")),
            noise,
            before,
            after,
            self._label_error(self.plain, systems, parts),
            Cost.of(exact, self.plain, atom, systems[0]),
        )  # fmt: skip
        return dataclasses.replace(best, card={**best.card, **report.card()}), report

    def _stage(self, model: Checkpoint, systems: list[System], parts: Parts) -> Stage:
        """What is measured of one model on the test structures."""
        exact = Potential(model, device=self.options.device)
        found = exact.compute(systems)
        labels = [self.labels[i] for i in parts.test]
        return Stage(
            Deviation.from_teacher(found, systems, labels),
            by_element(systems, exact.symmetrization_forces(systems)),
            LabelError.of(found, [self.references[i] for i in parts.test]),
        )

    def _label_error(self, potential: Potential, systems: list[System], parts: Parts) -> LabelError:
        return LabelError.of(potential.compute(systems), [self.references[i] for i in parts.test])
