"""State of a training: everything that changes from step to step, saved and resumed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from ..errors import PetDriverError
from ..model import PET
from .optimizer import Optimizer
from .options import FitOptions
from .order import Order
from .scales import Scales

STATE_FILE = "state.pt"


@dataclass
class Counters:
    """How far a training has come.

    step: optimizer steps done; seen: frames used so far, repetitions counted; elapsed: seconds of
    all runs together; best: lowest validation error; worse: validations since then.
    """

    step: int = 0
    seen: int = 0
    elapsed: float = 0.0
    best: float = math.inf
    worse: int = 0


class TrainingState:
    """Weights, their moving average, optimizer, order of the frames, baseline and counters.

    :param scales: shared with whoever makes batches; its baseline is part of the state
    """

    def __init__(self, network: PET, scales: Scales, order: Order, fit: FitOptions) -> None:
        self.network, self.scales, self.order = network, scales, order
        self.average = AveragedModel(network, multi_avg_fn=_averaging(fit.ema_decay))
        # The averaged weights are only differentiated with respect to positions.
        self.average.requires_grad_(False)
        self.optimizer = Optimizer(network, fit)
        self.counters = Counters()

    @property
    def averaged_network(self) -> PET:
        """The network with the exponential moving average of the weights."""
        return cast(PET, self.average.module)

    def save(self, path: Path, data: str) -> None:
        """Write all that `load` needs to continue exactly from here, whole or not at all.

        :param data: what tells the data and their split from others
        :raises PetDriverError: if the file cannot be written
        """
        content = {
            "data": data,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            **self.order.state(),
            "hyperparameters": self.network.hyper.to_dict(),
            "baseline": list(self.scales.baseline),
            "energy": self.scales.energy,
            "properties": dict(self.scales.properties),
            **dataclasses.asdict(self.counters),
        }
        partial = path.with_name(path.name + ".part")
        try:
            torch.save(content, partial)
            partial.replace(path)
        except (OSError, RuntimeError) as error:  # torch's own error of a full disk is the latter
            raise PetDriverError(
                f"{path} cannot be written ({error}); look at its permissions and the free space"
            ) from error

    def load(self, path: Path, data: str) -> None:
        """Continue from a state that `save` wrote.

        :param data: as of `save`
        :raises PetDriverError: if the file is damaged or belongs to another network or other data,
            or some of the hyperparameters are others
        """
        try:
            # Copied to the devices of weights and momenta below; counters of steps stay on the CPU,
            # where the optimizer reads them.
            content = torch.load(path, map_location="cpu", weights_only=True)
            self._check_hyperparameters(path, content.get("hyperparameters", {}))
            self.network.load_state_dict(content["network"])
            self.average.load_state_dict(content["average"])
            self.optimizer.load_state_dict(content["optimizer"])
            self.order.restore({"shuffle": content["shuffle"], "queue": content["queue"]})
            # A model to start from may have been named then, or may not be named any more.
            self.scales.baseline = content["baseline"]
            self.scales.energy = content.get("energy", self.scales.energy)
            self.scales.properties = content.get("properties", self.scales.properties)
            for field in dataclasses.fields(Counters):
                setattr(self.counters, field.name, content[field.name])
        except (torch.OutOfMemoryError, PetDriverError):
            raise
        except Exception as error:  # torch raises errors of any kind for a damaged file
            raise PetDriverError(
                f"{path} is damaged or belongs to another model; add --restart to begin anew, or "
                "give another output"
            ) from error
        if content.get("data", data) != data:
            raise PetDriverError(
                f"{path} is of a training with other data, or another split of them; add --restart "
                "to begin anew, or give another output"
            )

    def _check_hyperparameters(self, path: Path, before: Mapping[str, Any]) -> None:
        now = self.network.hyper.to_dict()
        for name, value in before.items():
            if name in now and now[name] != value:
                raise PetDriverError(
                    f"{path} is of a training with model.{name} {value!r} instead of "
                    f"{now[name]!r}; change it back, or add --restart to begin anew"
                )


def _averaging(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """Exponential moving average, whose memory is at first a share of the steps that were done.

    So the first weights, which are random, are forgotten in short trainings too.
    """

    @torch.no_grad()
    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        done = int(count)
        share = 1.0 - min(decay, (1 + done) / (10 + done))
        torch._foreach_lerp_(list(averaged), list(current), share)

    return update
