"""Charge and spin multiplicity of structures, for models whose energy depends on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import PetDriverError
from .graph import Graph
from .system import System


@dataclass(frozen=True)
class ChargeAndSpin:
    """Charges and spin multiplicities that a model was trained for, and the defaults.

    largest_charge: of either sign, in units of e; largest_spin: multiplicity, 2 S + 1, 0 for models
    that depend on neither; charge, spin: the defaults, of structures that have none of
    their own.

    :raises PetDriverError: if the model does not know the charge or the spin
    """

    largest_charge: int
    largest_spin: int
    charge: int = 0
    spin: int = 1

    def __post_init__(self) -> None:
        if self.largest_spin:
            self._checked(self.charge, self.spin)
        elif self.charge or self.spin != 1:
            raise PetDriverError(
                f"charge {self.charge} and spin {self.spin} were asked for, but the energy of this "
                "model does not depend on them; leave them out"
            )

    def of(self, system: System) -> tuple[int, int]:
        """Charge and spin multiplicity of a structure.

        :raises PetDriverError: if the model does not know them
        """
        charge = self.charge if system.charge is None else _integer("charge", system.charge)
        spin = self.spin if system.spin is None else _integer("spin multiplicity", system.spin)
        return self._checked(charge, spin)

    def table(self, systems: Sequence[System], device: torch.device) -> Tensor | None:
        """Charge and spin multiplicity of each structure, (n_structures, 2).

        :return: None for models that depend on neither
        """
        if not self.largest_spin:
            return None
        return torch.tensor([self.of(system) for system in systems], device=device).view(-1, 2)

    def default(self, device: torch.device) -> Tensor | None:
        """Charge and spin multiplicity of structures that state none, (1, 2).

        :return: None for models that depend on neither
        """
        if not self.largest_spin:
            return None
        return torch.tensor([[self.charge, self.spin]], device=device)

    def filled(self, graph: Graph) -> Graph:
        """Graph with the default charge and spin, where the model needs them and it has none."""
        padded = graph.padded
        given = self.default(padded.valid.device) if padded.charge_and_spin is None else None
        if given is None:
            return graph
        filled = dataclasses.replace(padded, charge_and_spin=given.expand(graph.n_centres, 2))
        return dataclasses.replace(graph, padded=filled)

    def _checked(self, charge: int, spin: int) -> tuple[int, int]:
        if abs(charge) > self.largest_charge:
            raise PetDriverError(
                f"the charge is {charge}; the model knows {-self.largest_charge} to "
                f"{self.largest_charge}"
            )
        if not 1 <= spin <= self.largest_spin:
            raise PetDriverError(
                f"the spin multiplicity is {spin}; the model knows 1 to {self.largest_spin}"
            )
        return charge, spin


def _integer(name: str, value: Any) -> int:  # noqa: ANN401 (whatever a file holds)
    number = np.asarray(value)
    is_number = number.size == 1 and number.dtype.kind in "iuf"
    if not is_number or not float(number.item()).is_integer():
        raise PetDriverError(f"the {name} of a structure is {value!r}; give an integer")
    return int(number.item())
