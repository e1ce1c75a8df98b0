"""The numbers and choices that define a network; stored in every model file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from ..frames.constants import FrameConstants
from .adaptive_cutoff import ADAPTIVE_METHODS
from .attention import NORMALIZATIONS
from .cutoffs import CUTOFF_FUNCTIONS

_CHOICES = {
    "cutoff_function": tuple(CUTOFF_FUNCTIONS),
    "block": ("modern", "paper"),
    "normalization": tuple(NORMALIZATIONS),
    "activation": ("swiglu", "silu"),
    "order": ("pre", "post"),
    "scope": ("layer", "none"),
    "adaptive_method": ADAPTIVE_METHODS,
}


@dataclass(frozen=True)
class Hyperparameters:
    """Shape of a PET network.

    ``block="modern"`` carries wide node features along, updates messages from both directions of an
    edge, and reads the energy out of the last layer; ``block="paper"`` re-makes the centre token in
    every layer, averages messages, and reads out of every layer. ``cutoff`` and ``cutoff_width`` in
    angstrom; ``species`` are atomic numbers. ``radial_waves`` adds so many sine waves of the
    distance to the geometry of a token. ``properties`` are names and ranks of covariant outputs:
    1 for vectors (the dipole), 2 for 3 x 3 tensors.

    ``adaptive_neighbors`` gives every atom a cutoff of its own, at most ``cutoff``, within which it
    has about so many neighbors; ``adaptive_method`` and ``adaptive_width`` (angstrom) say how, see
    `adaptive_cutoffs`. ``zbl_radii`` (angstrom, of each species) add the repulsion of Ziegler,
    Biersack and Littmark where atoms are closer than the sum of theirs. With ``largest_spin`` the
    energy depends on the charge, at most ``largest_charge`` of either sign, and the spin
    multiplicity of the structure, at most ``largest_spin``.

    What follows is for weights trained elsewhere; None means what the block is used to.
    ``neighbor_species``: layers after the first see the neighbor's species anew; ``final_norm``: a
    norm ends each layer; ``combination_normalization``: its kind where messages are combined;
    ``final_combination``: messages are exchanged once more after the last layer, before edges are
    read out; ``bare_centre``: with order "pre" and equal widths, the centre token is replaced by
    what it attends to; ``sudden_bonds``: energies of edges end at the cutoff without its factor, as
    in the original code before 2024; ``directions_alone``: in plain evaluation, vectors of an atom
    that loses its last neighbor are not faded out.
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
    adaptive_neighbors: float | None = None
    adaptive_method: str = "solver"
    adaptive_width: float = 1.0
    zbl_radii: tuple[float, ...] = ()
    largest_charge: int = 0
    largest_spin: int = 0
    neighbor_species: bool | None = None
    final_norm: bool | None = None
    combination_normalization: str | None = None
    final_combination: bool = False
    bare_centre: bool = False
    sudden_bonds: bool = False
    directions_alone: bool = False
    scope: str = "layer"
    frames: FrameConstants = field(default_factory=FrameConstants)

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(allowed)}"
                )
        if self.width % self.heads:
            raise ValueError(
                f"width {self.width} cannot be shared by {self.heads} heads; make it a multiple"
            )
        if self.final_combination and self.block == "paper":
            raise ValueError("final_combination is for the modern block; set it to false")
        if self.adaptive_neighbors is not None and self.adaptive_neighbors <= 0.0:
            raise ValueError(
                f"adaptive_neighbors is {self.adaptive_neighbors}; it must be positive"
            )
        self._check_zbl()
        for name, rank in self.properties:
            if rank not in (1, 2) or not name.isidentifier():
                raise ValueError(
                    f"property {name!r} of rank {rank} is not possible; ranks are 1 (vector) and 2 "
                    "(tensor), names are letters, digits and underscores"
                )
        copies = self.frames.axial_copies
        if copies < 4 or copies % 2:
            raise ValueError(f"axial_copies is {copies}; it must be even and at least 4")
        if not 0.0 < self.cutoff_width <= self.cutoff:
            raise ValueError(
                f"cutoff_width {self.cutoff_width} must lie between 0 and the cutoff {self.cutoff}"
            )
        if self.frames.margin >= self.cutoff:
            raise ValueError(
                f"the frames' margin {self.frames.margin} must be smaller than the cutoff "
                f"{self.cutoff}"
            )

    def _check_zbl(self) -> None:
        if not self.zbl_radii:
            return
        if len(self.zbl_radii) != len(self.species):
            raise ValueError(
                f"zbl_radii has {len(self.zbl_radii)} numbers for {len(self.species)} species; "
                "give one for each"
            )

    @property
    def reach(self) -> float:
        """Distance within which neighbors must be known, angstrom: the cutoff, or that of the
        repulsion of nuclei."""
        return max(self.cutoff, 2.0 * max(self.zbl_radii, default=0.0))

    @property
    def exchanges(self) -> int:
        """How often messages go to the other end of their edges."""
        return self.message_layers - 1 + self.final_combination

    @property
    def depth(self) -> int:
        """How many times ``reach`` away atoms lie on which the energy of an atom depends."""
        return self.exchanges + 1 + self._selects

    @property
    def swaps(self) -> int:
        """How often values on edges go to their other end in an evaluation with its gradient: the
        messages and, forward and backward, the cutoffs of atoms, and once what is within them."""
        adapts = self.adaptive_neighbors is not None
        return 2 * self.exchanges + 2 * adapts + self._selects

    @property
    def _selects(self) -> bool:
        """Whether the network sees only some of the neighbors within ``reach``."""
        return self.adaptive_neighbors is not None or self.reach > self.cutoff

    @classmethod
    def from_dict(cls, data: dict) -> Hyperparameters:
        """Inverse of `to_dict`.

        :raises ValueError: if a key is unknown or a value not allowed
        """
        known = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise ValueError(
                f"unknown hyperparameter {unknown[0]!r}; known are {', '.join(sorted(known))}"
            )
        values = dict(data)
        values["species"] = tuple(int(z) for z in values["species"])
        properties = values.get("properties", ())
        pairs = properties.items() if isinstance(properties, dict) else properties
        values["properties"] = tuple((str(name), int(rank)) for name, rank in pairs)
        values["zbl_radii"] = tuple(float(r) for r in values.get("zbl_radii", ()))
        values["frames"] = FrameConstants(**values.get("frames", {}))
        return cls(**values)

    def to_dict(self) -> dict:
        """Plain lists, numbers and strings, ready for JSON."""
        data = dataclasses.asdict(self)
        data["species"] = list(self.species)
        data["zbl_radii"] = list(self.zbl_radii)
        data["properties"] = dict(self.properties)
        return data
