"""Results of the network and of each of its layers."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Output:
    """Results of each centre, in the units of the network.

    energies: (n_centres,), without the per-species baseline; properties: (n_centres, 3) or
    (n_centres, 3, 3) each; energy_variance, message_variance: (n_centres,), variance over the
    frames of the energies and of the messages (mean over features), summed over layers; None unless
    asked for; features: (n_centres, n_features), inputs of the last layers of the energy's heads;
    None unless asked for.
    """

    energies: Tensor
    properties: dict[str, Tensor] = field(default_factory=dict)
    energy_variance: Tensor | None = None
    message_variance: Tensor | None = None
    features: Tensor | None = None


@dataclass
class LayerOutput:
    """What one layer contributes to the fields of `Output`; None where it contributes nothing."""

    energies: Tensor | None = None
    properties: dict[str, Tensor] = field(default_factory=dict)
    energy_variance: Tensor | None = None
    message_variance: Tensor | None = None
    features: Tensor | None = None

    def select(self, some: Tensor) -> LayerOutput:
        """The contributions to some of the centres.

        :param some: (n_kept,), indices
        """
        return LayerOutput(
            _selected(self.energies, some),
            {name: x.index_select(0, some) for name, x in self.properties.items()},
            _selected(self.energy_variance, some),
            _selected(self.message_variance, some),
            _selected(self.features, some),
        )


def total(layers: list[LayerOutput], properties: Iterable[str]) -> Output:
    """Sum of what the layers contribute; features are joined, (n_centres, sum of n_features).

    :param properties: names, in the order of the result
    """
    features = [x.features for x in layers if x.features is not None]
    return Output(
        _sum([x.energies for x in layers if x.energies is not None]),
        {
            name: _sum([x.properties[name] for x in layers if name in x.properties])
            for name in properties
            if any(name in x.properties for x in layers)
        },
        _summed(x.energy_variance for x in layers),
        _summed(x.message_variance for x in layers),
        torch.cat(features, 1) if features else None,
    )


def _selected(values: Tensor | None, some: Tensor) -> Tensor | None:
    return None if values is None else values.index_select(0, some)


def _summed(terms: Iterable[Tensor | None]) -> Tensor | None:
    """Sum of those terms that are not None; None if all are."""
    present = [term for term in terms if term is not None]
    return _sum(present) if present else None


def _sum(terms: Sequence[Tensor]) -> Tensor:
    """Sum of one or more tensors of the same shape."""
    return functools.reduce(torch.add, terms)
