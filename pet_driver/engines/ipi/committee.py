"""Models whose mean is served to i-PI; one model is a committee of one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...errors import PetDriverError
from ...evaluation.options import EvaluationOptions
from ...evaluation.potential import Potential
from ...files.checkpoint import load_checkpoint

if TYPE_CHECKING:
    from ...evaluation.prediction import Prediction
    from ...graph import System

OUTPUTS = ("ecse", "plain", "difference", "direct", "direct_difference")


class Committee:
    """Loaded models, which several services may share.

    :param models: names of shipped models or paths of model files
    :param options: of the evaluation, for all of them
    :raises PetDriverError: if an option is wrong, or a model or the device is not there
    """

    def __init__(self, models: Sequence[str], options: EvaluationOptions | None = None) -> None:
        options = EvaluationOptions() if options is None else options
        checkpoints = [load_checkpoint(model) for model in models]
        self.potentials = [Potential(checkpoint, options) for checkpoint in checkpoints]

    @cached_property
    def plain(self) -> list[Potential]:
        """The same weights without frames."""
        return [potential.plain() for potential in self.potentials]

    @cached_property
    def direct(self) -> list[Potential]:
        """The same weights without frames, with the forces that the models read out.

        :raises PetDriverError: if a model has no such output
        """
        return [potential.direct() for potential in self.potentials]

    def check_output(self, output: str) -> None:
        """Check that the models have an output of `OUTPUTS`.

        :raises PetDriverError: if there is no such output, or a model has no direct forces
        """
        if output not in OUTPUTS:
            raise PetDriverError(f"--output is {output!r}; choose one of {', '.join(OUTPUTS)}")
        if output.startswith("direct"):
            _ = self.direct
        if output == "difference" and all(x.scope == "none" for x in self.potentials):
            raise PetDriverError(
                "--output difference is zero in scope none, in which the model runs; add a scope "
                "that is exact, such as --scope atom"
            )

    def predictions(self, output: str, systems: list[System]) -> list[list[Prediction]]:
        """Predictions of each model for each structure, (n_models, n_structures).

        :param output: "ecse": exact as trained; "plain": the same weights without frames;
            "difference": the former minus the latter; "direct": plain, with the forces that the
            model reads out in place of the gradient, which conserve no energy;
            "direct_difference": ecse minus direct
        """
        if output == "plain":
            return [potential.compute(systems) for potential in self.plain]
        if output == "direct":
            return [potential.compute(systems) for potential in self.direct]
        exact = [potential.compute(systems) for potential in self.potentials]
        if output == "ecse":
            return exact
        fast = self.predictions("plain" if output == "difference" else "direct", systems)
        return [
            [a.minus(b) for a, b in zip(one, other, strict=True)]
            for one, other in zip(exact, fast, strict=True)
        ]

    def uncertainty(self, system: System) -> float:
        """Mean over the models of the standard deviation of the energy, eV.

        :raises PetDriverError: if a model came without what an uncertainty needs
        """
        values = [potential.energy_uncertainty([system])[0] for potential in self.potentials]
        return float(np.mean(values))

    def frame_deviation(self, system: System) -> npt.NDArray[np.float64]:
        """Standard deviation of each atom's energy over its frames, (n_atoms,), eV."""
        values = [potential.frame_deviation(system) for potential in self.potentials]
        mean: npt.NDArray[np.float64] = np.mean(values, axis=0)
        return mean
