"""Charge and spin of a structure as a shift of the features of its atoms."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .twice_differentiable import SiLU


class Conditioning(nn.Module):
    """Tables of charges and spin multiplicities, mixed to one vector, as in metatrain's PET."""

    def __init__(self, node_width: int, largest_charge: int, largest_spin: int) -> None:
        """Build the tables.

        :param largest_charge: of either sign
        :param largest_spin: largest spin multiplicity, 2 S + 1
        """
        super().__init__()
        self.largest_charge = largest_charge
        self.charge_embedding = nn.Embedding(2 * largest_charge + 1, node_width)
        self.spin_embedding = nn.Embedding(largest_spin, node_width)
        self.mix = nn.Sequential(
            nn.Linear(2 * node_width, node_width), SiLU(), nn.Linear(node_width, node_width)
        )

    def forward(self, charge_and_spin: Tensor) -> Tensor:
        """Shift of the node features of each centre.

        :param charge_and_spin: (n_centres, 2), charge and spin multiplicity of the structure of
            each
        :return: (n_centres, node_width)
        """
        charge, spin = charge_and_spin.unbind(1)
        features = (
            self.charge_embedding(charge + self.largest_charge),
            self.spin_embedding(spin - 1),
        )
        shift: Tensor = self.mix(torch.cat(features, dim=-1))
        return shift
