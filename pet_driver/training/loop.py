"""The training loop: from an options file to a model file."""

from __future__ import annotations

import dataclasses
import math
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..errors import PetDriverError
from ..evaluation.rotation_error import random_rotations
from ..files.checkpoint import Checkpoint
from ..frames import FrameSet
from ..model import PET
from ..runtime.devices import choose_device
from ..runtime.progress import Progress
from .accuracy import Comparison, energy_offset, summary
from .baseline import describe_baseline
from .batches import Batches
from .data import Frame, Split, origin_of_data, read_split, species_of
from .estimates import compare_batch
from .label_consistency import inconsistencies
from .log import Log
from .loss import Counts, loss, predict
from .optimizer import Optimizer
from .options import TrainingOptions
from .order import Order, grouped
from .results import write_results
from .schedule import Schedule
from .start import begin, hyperparameters, load_origin, shifted_baseline, some_of_all_species
from .workers import Workers

_ATOMS_TO_VALIDATE = 400  # at a time
_SHOWN = 40  # about as many training frames as are held out


class Training:
    """One run: data, network, optimizer, and where it stands.

    :param folder: receives ``NAME.safetensors``, ``log.csv``, ``state.pt`` (to resume) and pictures
    :param workers: processes that train together; None: this one alone
    """

    def __init__(
        self,
        options: TrainingOptions,
        data_folder: Path,
        folder: Path,
        device: str = "cpu",
        workers: Workers | None = None,
    ) -> None:
        self.options, self.folder = options, folder
        self.workers = workers or Workers(device)
        self.device = choose_device(self.workers.device_name)
        fit = options.fit
        origin = load_origin(options)
        ranks = dict(origin.hyper.properties) if origin else {}
        ranks |= dict(options.model.get("properties") or {})
        self.split: Split = read_split(data_folder, options.data, ranks)
        parts = (self.split.training, self.split.validation, self.split.test)
        self.hyper = hyperparameters(options, origin, species_of([f for p in parts for f in p]))
        start = begin(options, self.hyper, origin, self.split, self.device)
        self.network, self.scales = start.network, start.scales
        self.batches = Batches(self.hyper, self.scales, self.device)
        if origin is not None and fit.baseline == "new":
            self._renew_baseline()
        self.average = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(fit.ema_decay))
        # Only the gradient with respect to positions is ever computed of the average.
        self.average.requires_grad_(False)
        self.optimizer = Optimizer(self.network, fit)
        self.schedule = Schedule(fit)
        self.rotate = self.hyper.scope == "none" if fit.rotate is None else fit.rotate
        sizes = [len(frame.system) for frame in self.split.training]
        self.order = Order(sizes, fit.batch_size, fit.batch_atoms, fit.seed)
        self.step, self.seen, self.elapsed = 0, 0, 0.0
        self.best, self.worse = math.inf, 0
        if self.workers.first:
            for sentence in inconsistencies(self.split.training):
                warnings.warn(sentence, stacklevel=2)

    def _renew_baseline(self) -> None:
        frames = some_of_all_species(self.split.training)
        found = self.comparisons(frames, self.network)
        predicted = np.array([0.0 if c.energy is None else c.energy[0] for c in found])
        self.scales = shifted_baseline(self.scales, frames, predicted, self.hyper.species)
        self.batches.scales = self.scales

    # -- running --

    def run(self) -> Path:
        """Train to the last step, or as far as ``max_time`` and ``patience`` allow.

        :return: path of the model file
        :raises PetDriverError: if the folder cannot be made, or the loss is not finite
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PetDriverError(
                f"the folder {self.folder} cannot be made ({error.strerror}); give another output"
            ) from error
        fit, first = self.options.fit, self.workers.first
        log = Log(self.folder) if first else None
        started = saved = time.monotonic()
        before, total, counted = self.elapsed, 0.0, 0
        by_time = fit.schedule == "time"
        done = int(self.elapsed) if by_time else self.step
        goal = min(int(fit.max_time), fit.steps) if by_time else fit.steps
        what = "training, seconds" if by_time else "training"
        with Progress(what, goal, done, with_rate=not by_time) as progress:
            if first:
                if log.missing:
                    progress.say(log.missing)
                log.keep_until(self.step)
            while not self.schedule.finished(self.step, self.elapsed):
                value = self._one_step(before + time.monotonic() - started)
                total, counted = total + value, counted + 1
                if first:
                    now = min(int(self.elapsed), goal) if by_time else self.step
                    progress.advance(f"loss {total / counted:.4g}", now - progress.done)
                if self.split.validation and self.step % fit.validate_every == 0:
                    row = self._row(total / counted)
                    total, counted = 0.0, 0
                    if first:
                        log.write(row, progress)
                    if self._impatient(row):
                        break
                if first and time.monotonic() - saved > 60.0 * fit.checkpoint_minutes:
                    self.save_state()
                    saved = time.monotonic()
            if counted and self.split.validation:
                row = self._row(total / counted)
                if first:
                    log.write(row, progress)
        if first:
            self.save_state()
        if fit.baseline == "new":
            self._take_up_offset()
        return self._write_model()

    def _one_step(self, elapsed: float = 0.0) -> float:
        """
        :param elapsed: seconds spent so far, as this process sees it
        :return: the loss
        """
        rate = self.schedule.rate(self.step, self.elapsed)
        frames = [self.split.training[i] for i in self.order.next()]
        self.optimizer.zero_grad()
        value = self._gradients(frames)
        clock = elapsed if self.workers.first else 0.0
        numbers = torch.tensor([value, clock], dtype=torch.float64, device=self.device)
        numbers = self.workers.add_gradients(self.network.parameters(), numbers)
        value, self.elapsed = numbers.tolist()
        if not math.isfinite(value):
            raise PetDriverError(
                f"the loss is {value} at step {self.step}; lower fit.learning_rate"
            )
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.options.fit.clip_norm)
        self.optimizer.step(rate)
        self.average.update_parameters(self.network)
        self.step += 1
        self.seen += len(frames)
        return value

    def _gradients(self, frames: list[Frame]) -> float:
        """Gradients of this process' share of a batch; returns its share of the loss."""
        fit = self.options.fit
        sizes = [len(frame.system) for frame in frames]
        mine = self.workers.share(sizes)
        if mine.start == mine.stop:
            return 0.0
        rotations = None
        if self.rotate:
            seed = fit.seed * 1_000_003 + self.step
            rotations = random_rotations(len(frames), seed)[mine]
        batch, target = self.batches.make(frames[mine], rotations)
        sample = None
        if self.schedule.sampled(self.step, self.elapsed):
            sample = self._drawing(sum(sizes), sum(sizes[: mine.start]), sum(sizes[mine]))
        estimate = predict(
            self.network, batch, sample, True, fit.precision == "bfloat16", self.scales.energy
        )
        atoms = torch.tensor(batch.sizes, dtype=torch.float64, device=self.device)
        weight = self.schedule.energy_weight(self.step, self.elapsed)
        value = loss(estimate, target, atoms, fit, self.scales.energy, weight, Counts.of(frames))
        value.backward()
        return value.item()

    def _drawing(self, atoms: int, first: int, count: int) -> Callable[[FrameSet], FrameSet]:
        """Draws one frame of each centre; the same ones however a batch is shared.

        :param atoms: of the whole batch; first, count: those of this process
        """
        generator = torch.Generator().manual_seed(self.options.fit.seed * 1_000_003 + self.step)

        def draw(rows: FrameSet) -> FrameSet:
            numbers = torch.rand(atoms, generator=generator, dtype=torch.float64)
            return rows.sample(draw=numbers[first : first + count].to(rows.weights.device))

        return draw

    def _impatient(self, row: dict[str, float]) -> bool:
        """Whether the errors have not fallen for too long; the same on every process."""
        key = next((k for k in row if k.startswith("force_rmse")), None)
        key = key or next(k for k in row if "rmse" in k)
        self.best, self.worse = (
            (row[key], 0) if row[key] < self.best else (self.best, self.worse + 1)
        )
        return self.options.fit.patience is not None and self.worse >= self.options.fit.patience

    # -- errors --

    def comparisons(self, frames: list[Frame], network: PET | None = None) -> list[Comparison]:
        """Predictions of the averaged weights beside the labels; every process does its share."""
        network = network or self.average.module
        sizes = [len(frame.system) for frame in frames]
        mine = frames[self.workers.share(sizes)]
        found = []
        parts = grouped([len(f.system) for f in mine], 1, _ATOMS_TO_VALIDATE)
        for part in parts:
            some = [mine[k] for k in part]
            batch, _ = self.batches.make(some)
            estimate = predict(network, batch, unit=self.scales.energy)
            found += compare_batch(some, estimate, self.scales, self.hyper.species)
        return self.workers.gather(found)

    def errors(self, frames: list[Frame]) -> dict[str, float]:
        """Root-mean-square errors of the averaged weights, see `accuracy.summary`."""
        return summary(self.comparisons(frames))

    def _row(self, value: float) -> dict[str, float]:
        return {
            "step": self.step,
            "epoch": self.seen / len(self.split.training),
            "hours": self.elapsed / 3600.0,
            "rate": self.schedule.rate(self.step, self.elapsed),
            "loss": value,
            **self.errors(self.split.validation),
        }

    # -- files --

    def save_state(self) -> None:
        """Everything needed to go on exactly where this stands."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            **self.order.state(),
            "baseline": list(self.scales.baseline),
            **{name: getattr(self, name) for name in _STANDING},
        }
        partial = self.folder / "state.pt.part"
        torch.save(state, partial)
        partial.replace(self.folder / "state.pt")

    def resume(self) -> None:
        """Go on from ``state.pt`` in the folder, if there is one.

        :raises PetDriverError: if the file is damaged or belongs to another network
        """
        path = self.folder / "state.pt"
        if not path.exists():
            return
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            for name in ("network", "average", "optimizer"):
                getattr(self, name).load_state_dict(state[name])
            self.order.restore(state)
            for name in _STANDING:
                setattr(self, name, state[name])
            self.scales = dataclasses.replace(self.scales, baseline=state["baseline"])
            self.batches.scales = self.scales
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # a damaged file raises anything
            raise PetDriverError(
                f"{path} is damaged or belongs to another model; add --restart to begin anew, or "
                "give another output"
            ) from error

    def _take_up_offset(self) -> None:
        """Into the baseline goes what all energies per atom are off by: weights that still move
        leave more of it than of other errors.
        """
        offset = energy_offset(self.comparisons(self._shown()))
        baseline = [energy - offset for energy in self.scales.baseline]
        self.scales = dataclasses.replace(self.scales, baseline=baseline)
        self.batches.scales = self.scales

    def _shown(self) -> list[Frame]:
        """Training frames whose errors go onto the card."""
        return self.split.training[:: max(len(self.split.training) // _SHOWN, 1)]

    def _write_model(self) -> Path:
        parts = {
            "training": self._shown(),
            "validation": self.split.validation,
            "test": self.split.test,
        }
        found = {part: self.comparisons(frames) for part, frames in parts.items() if frames}
        if self.workers.first:
            write_results(self.folder, self._checkpoint(), found)
        return self.folder / f"{self.options.name}.safetensors"

    def _checkpoint(self) -> Checkpoint:
        """The averaged weights, described but for their errors."""
        options = self.options
        card = {
            **options.card,
            **origin_of_data(options, self.split),
            "steps": self.step,
            "epochs": round(self.seen / len(self.split.training), 1),
            "hours": round(self.elapsed / 3600.0, 3),
            "device": f"{self.device}, {self.workers.size} processes",
            "baseline_eV": describe_baseline(self.scales.baseline, self.hyper.species),
        }
        given = options.data.property_units
        return Checkpoint(
            self.hyper,
            {key: value.detach() for key, value in self.average.module.state_dict().items()},
            self.scales.baseline,
            self.scales.energy,
            card,
            options.name,
            property_scales=self.scales.properties,
            property_units={name: given[name] for name in self.scales.ranks if name in given},
        )


_STANDING = ("step", "seen", "elapsed", "best", "worse")
