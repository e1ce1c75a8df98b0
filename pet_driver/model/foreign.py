"""Hyperparameters that only models trained by other programs need."""

from __future__ import annotations

from dataclasses import dataclass

from .adaptive_cutoff import ADAPTIVE_METHODS
from .choices import check_choice
from .normalizations import NORMALIZATIONS


@dataclass(frozen=True)
class ForeignHyperparameters:
    """Options of networks of metatrain and of the original PET code that ours do without.

    ``adaptive_neighbors`` gives every atom a cutoff of its own, at most the model's, within which
    it has about so many neighbors; ``adaptive_method`` and ``adaptive_width`` (angstrom) define
    how, see `adaptive_cutoffs`. ``zbl_radii`` (angstrom, of each species) add the repulsion of
    Ziegler, Biersack and Littmark where atoms are closer than the sum of theirs. With
    ``largest_spin`` the energy depends on the charge, at most ``largest_charge`` of either sign,
    and the spin multiplicity of the structure, at most ``largest_spin``.

    The defaults of the following three, None, are those of the block. ``neighbor_species``: layers
    after the first embed the neighbor's species again; ``final_norm``: a norm ends each layer;
    ``combination_normalization``: the kind of norm where messages are combined.

    ``final_combination``: messages are exchanged once more after the last layer, before edges are
    read out; ``bare_centre``: with order "pre" and equal widths, the centre token is replaced by
    the output of its attention; ``sudden_bonds``: energies of edges end at the cutoff without its
    factor, as in the original code before 2024; ``directions_alone``: in plain evaluation, vectors
    of an atom that loses its last neighbor are not faded out.

    :raises ValueError: if a value is not allowed
    """

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

    def __post_init__(self) -> None:
        check_choice("adaptive_method", self.adaptive_method, ADAPTIVE_METHODS)
        if self.combination_normalization is not None:
            name = "combination_normalization"
            check_choice(name, self.combination_normalization, tuple(NORMALIZATIONS))
        if self.adaptive_width <= 0.0:
            raise ValueError(f"adaptive_width is {self.adaptive_width}; it must be positive")
        if self.adaptive_neighbors is not None and self.adaptive_neighbors <= 0.0:
            raise ValueError(
                f"adaptive_neighbors is {self.adaptive_neighbors}; it must be positive"
            )
