"""Charge and spin multiplicity of structures, for models whose energy depends on them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..errors import PetDriverError
from .padded import PaddedNeighbors
from .system import System


@dataclass
class ChargeAndSpin:
    """What a model knows, and what holds for structures that do not say.

    largest_charge: of either sign, in units of e; largest_spin: multiplicity, 2 S + 1, 0 for models
    that depend on neither; charge, spin: of structures that do not say.
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
        """
        :raises PetDriverError: if the structure has what the model does not know
        """
        charge = self.charge if system.charge is None else _integer("charge", system.charge)
        spin = self.spin if system.spin is None else _integer("spin multiplicity", system.spin)
        return self._checked(charge, spin)

    def filled(
        self, environments: PaddedNeighbors, systems: list[System] | None = None
    ) -> PaddedNeighbors:
        """PaddedNeighbors with charge and spin, where the model needs them.

        :param systems: one after another; None: one, which says nothing
        """
        if not self.largest_spin or environments.charge_and_spin is not None:
            return environments
        device = environments.valid.device
        if systems is None:
            said = torch.tensor([[self.charge, self.spin]], device=device)
            table = said.expand(environments.n_centres, 2)
        else:
            said = torch.tensor([self.of(system) for system in systems], device=device)
            sizes = torch.tensor([len(system) for system in systems], device=device)
            table = said.repeat_interleave(sizes, dim=0)
        return dataclasses.replace(environments, charge_and_spin=table)

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
    if number.size != 1 or number.dtype.kind not in "iuf" or number.item() != round(number.item()):
        raise PetDriverError(f"the {name} of a structure is {value!r}; give an integer")
    return int(number.item())
