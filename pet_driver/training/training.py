"""A training: from options and data to a model file."""

from __future__ import annotations

import dataclasses
import functools
import math
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ..errors import PetDriverError
from ..model import PET
from ..runtime.devices import choose_device
from .accuracy import Comparison, energy_offset, summary
from .baseline import fit_baseline
from .batches import Batches
from .data import Frame, Split, read_split, species_of, thinned
from .frame_drawing import share_of_drawing
from .gradients import BatchGradients
from .label_consistency import inconsistencies
from .loop import Loop
from .monitor import Monitor
from .options import TrainingOptions
from .order import Order
from .results import trained_model, write_results
from .schedule import Schedule
from .start import (
    check_frames,
    check_species,
    frames_with_all_species,
    hyperparameters,
    initial_network,
    initial_scales,
    load_origin,
    property_ranks,
)
from .state import STATE_FILE, TrainingState
from .validation import compare_frames
from .workers import Workers

_FRAMES_ON_CARD = 40  # training frames whose errors are reported: about as many as are held out


class Training:
    """One training: data, network, optimizer, and the state it has reached.

    :param data_folder: where the files named by the options are
    :param folder: receives ``NAME.safetensors``, ``log.csv``, ``state.pt`` (to resume) and plots
    :param device: "cpu", "cuda" or "cuda:N", where `workers` is None
    :param workers: processes that train together; None: this one alone
    :param split: the data, where they are not in the files that the options name
    :raises PetDriverError: if the options do not fit the data or the model to start from, or a file
        is missing or not valid
    """

    def __init__(
        self,
        options: TrainingOptions,
        data_folder: Path,
        folder: Path,
        device: str = "cpu",
        workers: Workers | None = None,
        split: Split | None = None,
    ) -> None:
        self.folder = folder
        fit = options.fit
        self.workers = workers or Workers(device)
        self.device = choose_device(self.workers.device_name)
        origin = load_origin(options)
        ranks = property_ranks(options, origin)
        self.split: Split = split or read_split(data_folder, options.data, ranks)
        check_species(self.split, origin)
        self.hyper = hyperparameters(options, origin, species_of(self.split.frames))
        check_frames(self.split, self.hyper, fit.patience or 0)
        network = initial_network(self.hyper, origin, fit.seed, self.device)
        self.scales = initial_scales(options, self.hyper, origin, self.split.training)
        sizes = [len(frame.system) for frame in self.split.training]
        order = Order(sizes, fit.batch_size, fit.batch_atoms, fit.seed)
        self.batches = Batches(self.hyper, self.scales, self.device)
        if fit.sampled_share is None:
            share = share_of_drawing(network, self.batches, self.split.training)
            fit = dataclasses.replace(fit, sampled_share=share)
        self.options = dataclasses.replace(options, fit=fit)
        self.state = TrainingState(network, self.scales, order, fit)
        self.schedule = Schedule(fit)
        rotate = self.hyper.scope == "none" if fit.rotate is None else fit.rotate
        self.gradients = BatchGradients(fit, self.batches, self.schedule, self.workers, rotate)
        if origin is not None and fit.baseline == "new":
            self._shift_baseline()
        if self.workers.first:
            self._warn()

    def _warn(self) -> None:
        """Warn of options and data that may not be meant as they are."""
        fit = self.options.fit
        if count := self.split.repeated():
            warnings.warn(
                f"{count} of the structures that are held out are among those to train on, so that "
                "their errors say little about others; remove repeated structures",
                stacklevel=3,
            )
        for name in sorted(dict(self.hyper.properties).keys() - self.scales.ranks.keys()):
            warnings.warn(
                f"{name} of {fit.start_from} has no labels here, and becomes wrong as the weights "
                "below it change; name its labels in data.property_keys, or leave it out by "
                "model.properties",
                stacklevel=3,
            )
        if fit.random_turns and not fit.sampled_share:
            warnings.warn(
                "fit.random_turns has no effect, as no frames are drawn; give fit.sampled_share, "
                "or leave it out",
                stacklevel=3,
            )
        for sentence in inconsistencies(self.split.training, self.options.data.stress_sign):
            warnings.warn(sentence, stacklevel=3)

    def run(self) -> Path:
        """Train until the schedule ends, or validation errors have not fallen for ``patience``.

        :return: path of the model file
        :raises PetDriverError: if the folder cannot be made, the loss is not finite, or another
            process has ended
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PetDriverError(
                f"the folder {self.folder} cannot be made ({error.strerror}); give another output"
            ) from error
        fit, counters = self.options.fit, self.state.counters
        monitor = Monitor(fit, counters, self.folder if self.workers.first else None)
        validate = self.validate if self.split.validation else None
        Loop(fit, self.schedule, counters, monitor).run(self.take_step, validate, self.save_state)
        if fit.baseline == "new":
            self._absorb_energy_offset()
        return self._write_model()

    def take_step(self, elapsed: float = 0.0) -> float:
        """Change the weights once.

        :param elapsed: seconds spent so far, as this process measures them; those of the first
            process count
        :return: the loss
        :raises PetDriverError: if the loss is not finite, or another process has ended
        """
        state, counters = self.state, self.state.counters
        rate = self.schedule.rate(counters.step, counters.elapsed)
        frames = [self.split.training[i] for i in state.order.next()]
        state.optimizer.zero_grad()
        value = self.gradients.accumulate(state.network, frames, counters)
        clock = elapsed if self.workers.first else 0.0
        numbers = torch.tensor([value, clock], dtype=torch.float64, device=self.device)
        numbers = self.workers.add_gradients(state.network.parameters(), numbers)
        totals: list[float] = numbers.tolist()
        value, counters.elapsed = totals
        if not math.isfinite(value):
            raise PetDriverError(
                f"the loss is {value} at step {counters.step}; lower fit.learning_rate"
            )
        torch.nn.utils.clip_grad_norm_(state.network.parameters(), self.options.fit.clip_norm)
        state.optimizer.step(rate)
        state.average.update_parameters(state.network)
        counters.step += 1
        counters.seen += len(frames)
        return value

    def comparisons(self, frames: Sequence[Frame], network: PET | None = None) -> list[Comparison]:
        """Predictions beside labels, one comparison per frame.

        :param network: None: the averaged weights
        """
        network = network or self.state.averaged_network
        return compare_frames(network, frames, self.batches, self.hyper.species, self.workers)

    def errors(self, frames: Sequence[Frame]) -> dict[str, float]:
        """Root-mean-square errors of the averaged weights, see `accuracy.summary`."""
        return summary(self.comparisons(frames))

    def validate(self, loss: float) -> dict[str, float]:
        """A row of the log: how far the training is, and the errors of the validation frames.

        :param loss: mean since the last validation
        """
        counters = self.state.counters
        return {
            "step": counters.step,
            "epoch": counters.seen / len(self.split.training),
            "hours": counters.elapsed / 3600.0,
            "rate": self.schedule.rate(counters.step, counters.elapsed),
            "loss": loss,
            **self.errors(self.split.validation),
        }

    def save_state(self) -> None:
        """Write ``state.pt`` into the folder, if this is the first process."""
        if self.workers.first:
            self.state.save(self.folder / STATE_FILE, self._data)

    def resume(self) -> None:
        """Continue from ``state.pt`` in the folder, if there is one.

        :raises PetDriverError: if the file is damaged or belongs to another network or other data,
            or only some of the processes have it
        """
        path = self.folder / STATE_FILE
        if path.exists():
            self.state.load(path, self._data)
        steps = set(self.workers.gather([self.state.counters.step]))
        if len(steps) > 1:
            raise PetDriverError(
                f"the processes would begin at steps {min(steps)} and {max(steps)}; give all of "
                f"them an output folder with the same {STATE_FILE}, or add --restart"
            )

    @functools.cached_property
    def _data(self) -> str:
        """What tells the data and their split from others."""
        return self.split.digest()

    def forget(self) -> None:
        """Remove ``state.pt`` from the folder, so that no later run continues from it."""
        if self.workers.first:
            (self.folder / STATE_FILE).unlink(missing_ok=True)

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to do."""
        counters = self.state.counters
        return self.schedule.ended(counters.step, counters.elapsed, counters.worse)

    def _shift_baseline(self) -> None:
        """Fit the baseline of the model started from to the energies of the new data."""
        frames = frames_with_all_species(self.split.training)
        found = self.comparisons(frames, self.state.network)
        predicted = np.array([0.0 if c.energy is None else c.energy[0] for c in found])
        shift = fit_baseline(frames, self.hyper.species, predicted)
        pairs = zip(self.scales.baseline, shift, strict=True)
        self.scales.baseline = [energy + change for energy, change in pairs]

    def _absorb_energy_offset(self) -> None:
        """Absorb the mean energy error into the atomic baseline.

        Weights that still change leave a larger error common to all energies per atom than in other
        quantities.
        """
        known = [frame for frame in self.split.training if frame.labels.energy is not None]
        offset = energy_offset(self.comparisons(thinned(known, _FRAMES_ON_CARD)))
        self.scales.baseline = [energy - offset for energy in self.scales.baseline]

    def _write_model(self) -> Path:
        parts = {
            "training": thinned(self.split.training, _FRAMES_ON_CARD),
            "validation": self.split.validation,
            "test": self.split.test,
        }
        found = {part: self.comparisons(frames) for part, frames in parts.items() if frames}
        if self.workers.first:
            hardware = f"{self.device}, {self.workers.size} processes"
            model = trained_model(self.options, self.hyper, self.state, self.split, hardware)
            write_results(self.folder, model, found)
        return self.folder / f"{self.options.name}.safetensors"
