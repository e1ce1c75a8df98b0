"""What the network says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Output:
    """What the network says of each centre, in its own units.

    energies: (n_centres,), without the per-species baseline; properties: (n_centres, 3) or
    (n_centres, 3, 3) each; energy_spread, message_spread: (n_centres,), variance over the frames of
    the energies and of what is passed on (mean over features), summed over layers; None unless
    asked for; features: (n_centres, n_features), what the last layers of the energy's heads take;
    None unless asked for.
    """

    energies: Tensor
    properties: dict[str, Tensor] = field(default_factory=dict)
    energy_spread: Tensor | None = None
    message_spread: Tensor | None = None
    features: Tensor | None = None

    def select(self, some: Tensor) -> Output:
        """Energies and properties of some of the centres."""
        energies = None if self.energies is None else self.energies.index_select(0, some)
        properties = {name: x.index_select(0, some) for name, x in self.properties.items()}
        return Output(energies, properties)


def summed(terms: Iterable[Tensor | None]) -> Tensor | None:
    """Sum of those that are there, None if none is."""
    present = [term for term in terms if term is not None]
    return torch.stack(present).sum(0) if present else None
