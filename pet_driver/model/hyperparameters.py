"""The numbers and choices that define a network; stored in every model file."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..frames.constants import FrameConstants
from .choices import check_choice
from .cutoffs import CUTOFF_FUNCTIONS
from .foreign import ForeignHyperparameters
from .normalizations import NORMALIZATIONS

_CHOICES = {
    "cutoff_function": tuple(CUTOFF_FUNCTIONS),
    "block": ("modern", "paper"),
    "normalization": tuple(NORMALIZATIONS),
    "activation": ("swiglu", "silu"),
    "order": ("pre", "post"),
    "scope": ("layer", "none"),
}

_SIZES = (
    *("width", "node_width", "feedforward_width", "head_width", "heads"),
    *("attention_layers", "message_layers"),
)

# What an engine calls the results of every model: no covariant output can have such a name.
RESERVED_NAMES = (
    *("energy", "free_energy", "energies", "forces", "stress", "stresses", "virial"),
    "energy_uncertainty",
)


@dataclass(frozen=True)
class Hyperparameters:
    """Shape of a PET network.

    ``block="modern"`` carries wide node features along, updates messages from both directions of an
    edge, and reads the energy out of the last layer; ``block="paper"`` makes the centre token anew
    in every layer, averages messages, and reads out of every layer. ``cutoff`` and ``cutoff_width``
    in angstrom; ``species`` are atomic numbers. ``radial_waves`` adds so many sine waves of the
    distance to the geometry of a token. ``properties`` are names and ranks of covariant outputs:
    1 for vectors (the dipole), 2 for 3 x 3 tensors. ``foreign`` holds what only models trained by
    other programs need. ``scope`` is the scope of training: "layer" averages over frames, "none"
    does not.

    Model files and options files hold one flat mapping with the keys of both classes, see
    `flat_fields`.

    :raises ValueError: if a value is not allowed, or two do not fit together
    """

    species: tuple[int, ...]
    cutoff: float = 4.5
    cutoff_width: float = 1.0
    cutoff_function: str = "bump"
    block: str = "modern"
    width: int = 64
    node_width: int = 128
    feedforward_width: int = 128
    head_width: int = 64
    heads: int = 4
    message_layers: int = 2
    attention_layers: int = 1
    normalization: str = "rms"
    activation: str = "swiglu"
    order: str = "pre"
    radial_waves: int = 0
    properties: tuple[tuple[str, int], ...] = ()
    foreign: ForeignHyperparameters = field(default_factory=ForeignHyperparameters)
    scope: str = "layer"
    frames: FrameConstants = field(default_factory=FrameConstants)

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            check_choice(name, getattr(self, name), allowed)
        self._check_widths()
        self._check_cutoffs()
        self._check_properties()
        self._check_foreign()

    def _check_widths(self) -> None:
        for name in _SIZES:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.width % self.heads:
            raise ValueError(
                f"width {self.width} cannot be shared by {self.heads} heads; make it a multiple"
            )
        if self.final_norm and self.node_width != self.width:
            raise ValueError(
                f"node_width is {self.node_width} and width {self.width}, but the norm at the end "
                "of each layer is the same for both; make them equal"
            )

    def _check_cutoffs(self) -> None:
        if not 0.0 < self.cutoff_width <= self.cutoff:
            raise ValueError(
                f"cutoff_width {self.cutoff_width} must lie between 0 and the cutoff {self.cutoff}"
            )
        if self.frames.margin >= self.cutoff:
            raise ValueError(
                f"the frames' margin {self.frames.margin} must be smaller than the cutoff "
                f"{self.cutoff}"
            )

    def _check_properties(self) -> None:
        for name, rank in self.properties:
            if rank not in (1, 2) or not name.isidentifier():
                raise ValueError(
                    f"property {name!r} of rank {rank} is not possible; ranks are 1 (vector) and 2 "
                    "(tensor), names are letters, digits and underscores"
                )
            if name in RESERVED_NAMES:
                raise ValueError(
                    f"the property {name!r} has the name of a result that every model gives; "
                    "choose another name"
                )

    def _check_foreign(self) -> None:
        if self.foreign.final_combination and self.block == "paper":
            raise ValueError("final_combination is for the modern block; set it to false")
        if self.foreign.largest_charge and not self.foreign.largest_spin:
            raise ValueError(
                f"largest_charge is {self.foreign.largest_charge} without largest_spin; models "
                "know both or neither, give largest_spin too (1 for closed shells)"
            )
        radii = self.foreign.zbl_radii
        if len(radii) not in (0, len(self.species)):
            raise ValueError(
                f"zbl_radii has {len(radii)} numbers for {len(self.species)} species; give one for "
                "each"
            )
        for radius in radii:
            if not 0.0 < radius < math.inf:
                raise ValueError(f"zbl_radii contains {radius}; give positive numbers, in angstrom")

    @property
    def final_norm(self) -> bool:
        """Whether a norm ends each layer, as with the paper's option PreLN."""
        given = self.foreign.final_norm
        return not self.modern and self.order == "pre" if given is None else given

    @property
    def modern(self) -> bool:
        """Whether the block is the modern one, not the paper's."""
        return self.block == "modern"

    @property
    def neighbor_cutoff(self) -> float:
        """Distance within which neighbors must be listed, angstrom.

        The cutoff of the network or, where it is larger, that of the repulsion of nuclei.
        """
        return max(self.cutoff, 2.0 * max(self.foreign.zbl_radii, default=0.0))

    @property
    def truncates(self) -> bool:
        """Whether the network uses only some of the neighbors within ``neighbor_cutoff``."""
        return self.foreign.adaptive_neighbors is not None or self.neighbor_cutoff > self.cutoff

    @property
    def exchanges(self) -> int:
        """Number of times that messages are sent to the other end of their edges."""
        return self.message_layers - 1 + self.foreign.final_combination

    @property
    def depth(self) -> int:
        """Number of times ``neighbor_cutoff`` over which the energy of an atom depends on others.

        One more than the exchanges, and one more where the neighbors that an atom uses depend on
        neighbors of its own.
        """
        return self.exchanges + 1 + self.truncates

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Hyperparameters:
        """Hyperparameters from a flat mapping, as in model files; inverse of `to_dict`.

        :raises ValueError: if a key is unknown or a value not allowed
        :raises KeyError: if there is no ``species``
        """
        known = flat_fields()
        unknown = sorted(set(data) - set(known))
        if unknown:
            raise ValueError(
                f"unknown hyperparameter {unknown[0]!r}; known are {', '.join(sorted(known))}"
            )
        foreign_keys = {f.name for f in dataclasses.fields(ForeignHyperparameters)}
        foreign = {key: value for key, value in data.items() if key in foreign_keys}
        if "zbl_radii" in foreign:
            foreign["zbl_radii"] = tuple(float(r) for r in foreign["zbl_radii"])
        values = {key: value for key, value in data.items() if key not in foreign_keys}
        values["species"] = tuple(int(z) for z in values["species"])
        properties = values.get("properties", ())
        pairs = properties.items() if isinstance(properties, dict) else properties
        values["properties"] = tuple((str(name), int(rank)) for name, rank in pairs)
        values["foreign"] = ForeignHyperparameters(**foreign)
        values["frames"] = FrameConstants.from_dict(values.get("frames", {}))
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Flat mapping of plain lists, numbers and strings, ready for JSON."""
        data: dict[str, Any] = {}
        for item in dataclasses.fields(self):
            if item.name == "foreign":
                data.update(dataclasses.asdict(self.foreign))
            else:
                data[item.name] = getattr(self, item.name)
        data["species"] = list(self.species)
        data["zbl_radii"] = list(self.foreign.zbl_radii)
        data["properties"] = dict(self.properties)
        data["frames"] = self.frames.to_dict()
        return data


def flat_fields() -> dict[str, dataclasses.Field[Any]]:
    """Fields of the flat form by key: those of `Hyperparameters` and `ForeignHyperparameters`."""
    own = [f for f in dataclasses.fields(Hyperparameters) if f.name != "foreign"]
    return {f.name: f for f in (*own, *dataclasses.fields(ForeignHyperparameters))}
