"""The training loop: from an options file to a model file."""

from __future__ import annotations

import csv
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..checkpoint import Checkpoint, save_checkpoint
from ..devices import choose_device
from ..errors import PetDriverError
from ..model import PET, Hyperparameters
from ..progress import Progress
from ..structure import Batch
from .data import (
    Frame,
    Split,
    describe_baseline,
    fit_baseline,
    read_frames,
    species_of,
    split_frames,
)
from .loss import Target, loss, predict
from .options import TrainingOptions


class Training:
    """One run: data, network, optimizer, and where it stands.

    :param folder: receives ``NAME.safetensors``, ``log.csv`` and ``state.pt`` (to resume)
    """

    def __init__(
        self, options: TrainingOptions, data_folder: Path, folder: Path, device: str = "cpu"
    ) -> None:
        self.options, self.folder = options, folder
        self.device = choose_device(device)
        frames = read_frames(data_folder / options.data.file, options.data)
        self.split: Split = split_frames(frames, options.data)
        species = species_of(frames)
        try:
            self.hyper = Hyperparameters.from_dict({**options.model, "species": species})
        except (ValueError, TypeError) as error:
            raise PetDriverError(f"the section model is not valid: {error}") from error
        self.baseline = fit_baseline(self.split.training, species)
        self.scale = float(
            np.sqrt(np.mean(np.concatenate([f.forces for f in self.split.training]) ** 2))
        )
        if not self.scale:
            raise PetDriverError(
                f"all forces of the training frames are zero under {options.data.forces_key!r}; "
                "correct data.forces_key"
            )
        fit = options.fit
        torch.manual_seed(fit.seed)
        self.network = PET(self.hyper).to(self.device)
        self.average = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(fit.ema_decay))
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=fit.learning_rate, weight_decay=fit.weight_decay
        )
        self.sampler = torch.Generator(device=self.device).manual_seed(fit.seed)
        self.shuffle = torch.Generator().manual_seed(fit.seed)
        self.queue: list[int] = []
        self.step = 0
        self.elapsed = 0.0

    # -- running --

    def run(self) -> Path:
        """Train to the last step, or as far as ``max_time`` allows; returns the path of the model
        file.

        :raises PetDriverError: if the folder cannot be made, or the loss is not finite
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PetDriverError(
                f"the folder {self.folder} cannot be made ({error.strerror}); give another output"
            ) from error
        fit = self.options.fit
        started = saved = time.monotonic()
        before = self.elapsed
        with Progress("training", fit.steps, self.step) as progress:
            while self.step < fit.steps:
                value = self._one_step()
                progress.advance(f"loss {value:.4f}")
                now = time.monotonic()
                self.elapsed = before + now - started
                if self.split.validation and self.step % fit.validate_every == 0:
                    self._record(progress)
                if now - saved > 60.0 * fit.checkpoint_minutes:
                    self.save_state()
                    saved = now
                if fit.max_time is not None and self.elapsed > fit.max_time:
                    break
        self.save_state()
        return self._write_model()

    def _one_step(self) -> float:
        fit = self.options.fit
        for group in self.optimizer.param_groups:
            group["lr"] = fit.learning_rate * self._rate(self.step)
        frames = [self.split.training[i] for i in self._next_indices()]
        batch, target = self._batch(frames)
        sampled = self.step < fit.sampled_share * fit.steps
        sample = self.sampler if sampled else None
        estimate = predict(self.network, batch, sample, differentiable=True)
        sizes = torch.tensor(batch.sizes, dtype=torch.float64, device=self.device)
        value = loss(estimate, target, sizes, fit, self.scale, self.step / fit.steps)
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), fit.clip_norm)
        self.optimizer.step()
        self.average.update_parameters(self.network)
        self.step += 1
        if not math.isfinite(value.item()):
            raise PetDriverError(
                f"the loss is {value.item()} at step {self.step}; lower fit.learning_rate"
            )
        return value.item()

    def _rate(self, step: int) -> float:
        fit = self.options.fit
        if step < fit.warmup_steps:
            return (step + 1) / fit.warmup_steps
        done = (step - fit.warmup_steps) / max(fit.steps - fit.warmup_steps, 1)
        return 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))

    def _next_indices(self) -> list[int]:
        while len(self.queue) < self.options.fit.batch_size:
            self.queue += torch.randperm(len(self.split.training), generator=self.shuffle).tolist()
        taken = self.queue[: self.options.fit.batch_size]
        self.queue = self.queue[self.options.fit.batch_size :]
        return taken

    def _batch(self, frames: list[Frame]) -> tuple[Batch, Target]:
        batch = Batch.from_systems(
            [frame.system for frame in frames], self.hyper.cutoff, self.hyper.species, self.device
        )
        baseline = torch.tensor(self.baseline, dtype=torch.float64, device=self.device)
        atomic = baseline[batch.environments.centre_species]
        energies = torch.tensor(
            [frame.energy for frame in frames], dtype=torch.float64, device=self.device
        )
        energies = energies - torch.zeros_like(energies).index_add(0, batch.structure, atomic)
        forces = torch.as_tensor(
            np.concatenate([frame.forces for frame in frames]), device=self.device
        )
        return batch, Target(energies / self.scale, forces / self.scale)

    # -- errors --

    def errors(self, frames: list[Frame]) -> dict[str, float]:
        """Root-mean-square errors of the averaged weights: energy per atom (meV), force component
        (meV/angstrom).
        """
        energy_errors, force_errors = [], []
        for frame in frames:
            batch, target = self._batch([frame])
            estimate = predict(self.average.module, batch)
            energy = (estimate.energies - target.energies).item() * self.scale
            energy_errors.append(energy / len(frame.system))
            force = (estimate.forces - target.forces).detach() * self.scale
            force_errors.append(force.cpu().numpy().ravel())
        return {
            "energy_rmse_meV_per_atom": 1e3 * float(np.sqrt(np.mean(np.square(energy_errors)))),
            "force_rmse_meV_per_angstrom": 1e3
            * float(np.sqrt(np.mean(np.concatenate(force_errors) ** 2))),
        }

    def _record(self, progress: Progress) -> None:
        errors = self.errors(self.split.validation)
        row = {
            "step": self.step,
            "hours": self.elapsed / 3600.0,
            "rate": self._rate(self.step),
            **errors,
        }
        path = self.folder / "log.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)
        progress.say(
            f"step {self.step}: validation {errors['energy_rmse_meV_per_atom']:.2f} meV/atom, "
            f"{errors['force_rmse_meV_per_angstrom']:.1f} meV/angstrom"
        )

    # -- files --

    def save_state(self) -> None:
        """Everything needed to go on exactly where this stands."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "sampler": self.sampler.get_state(),
            "shuffle": self.shuffle.get_state(),
            "queue": self.queue,
            "step": self.step,
            "elapsed": self.elapsed,
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
            for name in ("sampler", "shuffle"):
                getattr(self, name).set_state(state[name].cpu())
            self.queue, self.step, self.elapsed = state["queue"], state["step"], state["elapsed"]
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # a damaged file raises anything
            raise PetDriverError(
                f"{path} is damaged or belongs to another model; add --restart to begin anew, or "
                "give another output"
            ) from error

    def _write_model(self) -> Path:
        card = {
            **self.options.card,
            "data": {"file": Path(self.options.data.file).name, "indices": self.split.indices()},
            "steps": self.step,
            "hours": round(self.elapsed / 3600.0, 3),
            "device": str(self.device),
            "baseline_eV": describe_baseline(self.baseline, self.hyper.species),
            "errors": {
                part: self.errors(frames)
                for part, frames in {
                    # Of the training frames as many as are held out: enough to compare with.
                    "training": self.split.training[:: max(len(self.split.training) // 40, 1)],
                    "validation": self.split.validation,
                    "test": self.split.test,
                }.items()
                if frames
            },
        }
        weights = {key: value.detach() for key, value in self.average.module.state_dict().items()}
        path = self.folder / f"{self.options.name}.safetensors"
        save_checkpoint(
            Checkpoint(self.hyper, weights, self.baseline, self.scale, card, self.options.name),
            path,
        )
        return path
