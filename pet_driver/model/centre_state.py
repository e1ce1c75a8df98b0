"""What the network carries from one message layer to the next."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from .tokens import EdgeGeometry


@dataclass
class CentreState:
    """Geometry, species, features and messages of the centres that a layer evaluates.

    valid: (n_centres, n_neighbors), False for padding; slots_taken: (n_centres,), of each row up to
    the last that is taken, None where all samples are evaluated at once; waves: (n_centres,
    n_neighbors, n_waves) or None; shift: (n_centres, node_width), added to the node features after
    each layer, or None; centre_species: (n_centres,) and neighbor_species: (n_centres,
    n_neighbors), indices into the species of the model; messages: (n_centres, n_neighbors, width);
    node: (n_centres, node_width), None before the first layer.
    """

    geometry: EdgeGeometry
    valid: Tensor
    slots_taken: Tensor | None
    waves: Tensor | None
    shift: Tensor | None
    centre_species: Tensor
    neighbor_species: Tensor
    messages: Tensor
    node: Tensor | None = None

    def select(self, some: Tensor) -> CentreState:
        """The state of some of the centres.

        :param some: (n_kept,), indices
        """
        return CentreState(
            self.geometry.select(some),
            self.valid.index_select(0, some),
            None if self.slots_taken is None else self.slots_taken.index_select(0, some),
            None if self.waves is None else self.waves.index_select(0, some),
            None if self.shift is None else self.shift.index_select(0, some),
            self.centre_species.index_select(0, some),
            self.neighbor_species.index_select(0, some),
            self.messages.index_select(0, some),
            None if self.node is None else self.node.index_select(0, some),
        )
