"""Options of a symmetrization."""

from __future__ import annotations

from dataclasses import dataclass

from .sampling import SampleRun
from .tuning import LEARNING_RATE


@dataclass(frozen=True)
class SymmetrizeOptions:
    """How a model is symmetrized.

    minutes: for labels and tuning; runs: dynamics that structures are taken from; frames: name of
    the frame constants, None: chosen by measurement; parity: the teacher averages over inversions
    too; learning_rate: of the tuning; steps: most of the tuning, None: as many as there is time
    for; device: "cpu", "cuda" or "cuda:N".
    """

    minutes: float = 20.0
    runs: tuple[SampleRun, ...] = ()
    frames: str | None = None
    parity: bool = False
    learning_rate: float = LEARNING_RATE
    steps: int | None = None
    device: str = "cpu"
    seed: int = 0
