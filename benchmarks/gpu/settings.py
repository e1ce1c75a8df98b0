"""What a step is asked for; passed from the runner to the step as JSON."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Choices of the user, and the time of one step.

    :param device: "cpu", "cuda" or "cuda:N"
    :param quick: small systems and few steps
    :param pretended: the GPU is that of tests/rehearsal
    :param seconds: after which the step begins no further row
    """

    device: str = "cuda"
    quick: bool = False
    pretended: bool = False
    seconds: float = 600.0

    @property
    def on_gpu(self) -> bool:
        """Whether there is a real card."""
        return self.device.startswith("cuda") and not self.pretended

    def pick(self, full: object, quick: object) -> object:
        """One of two values, by `quick`."""
        return quick if self.quick else full

    def to_json(self) -> str:
        """All fields as one word of a command line."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """Inverse of `to_json`."""
        return cls(**json.loads(text))
