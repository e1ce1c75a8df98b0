"""What a potential's model is: its name, card, elements, cutoffs and units."""

from __future__ import annotations

from typing import Any

from ..model import Hyperparameters
from .loaded_model import LoadedModel
from .scope_advice import outputs_in_scope


class DescribedModel:
    """Properties of a loaded model.

    model: network, units and the description in the model file; scope: in which it is evaluated.
    """

    model: LoadedModel
    scope: str

    @property
    def hyper(self) -> Hyperparameters:
        """Hyperparameters of the network."""
        return self.model.description.hyper

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.model.description.name

    @property
    def digest(self) -> str:
        """SHA-256 of the model file."""
        return self.model.description.digest

    @property
    def card(self) -> dict[str, Any]:
        """Model card: data, splits, errors."""
        return self.model.description.card

    @property
    def outputs(self) -> dict[str, int]:
        """Ranks of the covariant outputs that there are in this scope, by name."""
        return outputs_in_scope(self.hyper, self.scope)

    @property
    def property_units(self) -> dict[str, str]:
        """Units of the covariant outputs, by name."""
        return self.model.description.property_units

    @property
    def dtype(self) -> str:
        """Precision of the network, "float32" or "float64"."""
        return self.model.dtype

    @property
    def species(self) -> tuple[int, ...]:
        """Atomic numbers that the model knows."""
        return self.hyper.species

    @property
    def cutoff(self) -> float:
        """Cutoff of the network, angstrom: atoms within it are neighbors in one layer."""
        return self.hyper.cutoff

    @property
    def neighbor_cutoff(self) -> float:
        """Distance within which neighbors must be listed, angstrom; at least the cutoff."""
        return self.hyper.neighbor_cutoff

    @property
    def has_uncertainty(self) -> bool:
        """Whether the model has what `energy_uncertainty` needs."""
        return self.model.uncertainty_factor is not None
