"""Arguments of `pair_style pet` and of its `pair_coeff`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from ase.data import atomic_numbers

from ...errors import PetDriverError
from ...evaluation.option import Option, unknown, yes_or_no
from ...evaluation.options import KEYWORDS, EvaluationOptions
from ...graph import species_indices

# Energy of the unit style per eV; lengths are angstrom in both. LAMMPS' own constant for real.
ENERGY_UNITS = {"metal": 1.0, "real": 23.060549}
FIX_ID = "pet_driver"  # of the fix through which forces get into LAMMPS
_OVERLAY = "hybrid/overlay"
_OWN = {
    "halo": Option(
        str,
        "choose exchange or wide",
        "ghosts one cutoff deep with exchange of messages, or as far as energies depend on others",
        "HALO",
    ),
    "self_test": Option(
        yes_or_no, "give yes or no", "compare with one rank on the first step", "YES_OR_NO"
    ),
}
_KNOWN = {**KEYWORDS, **_OWN}


@dataclass
class PairStyle:
    """`pair_style pet MODEL [KEYWORD VALUE ...]`, alone or in `pair_style hybrid/overlay`.

    :param model: name of a shipped model or path of a model file
    :param options: of the evaluation
    :param halo: see `Potential.open_domain`
    :param self_test: whether the first step is compared with one rank
    :param overlay: whether it stands in `hybrid/overlay`
    :param before: words of the styles before it, in an overlay
    :param after: words of the styles after it, in an overlay
    """

    model: str
    options: EvaluationOptions = field(default_factory=EvaluationOptions)
    halo: str = "exchange"
    self_test: bool = True
    overlay: bool = False
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)

    @classmethod
    def parse(cls, words: list[str]) -> PairStyle | None:
        """Read a `pair_style` command; None if `pet` is not among its styles.

        :param words: after `pair_style`
        :raises PetDriverError: if a keyword or a value is wrong
        """
        overlay = words[0].startswith("hybrid")
        positions = [k for k, word in enumerate(words) if word == "pet" and (overlay or k == 0)]
        if not positions:
            return None
        if overlay and words[0] != _OVERLAY:
            raise PetDriverError(
                f"pair_style {words[0]} gives each pair of types to one style, and pet works on "
                f"all atoms at once; use {_OVERLAY}"
            )
        if len(positions) > 1:
            raise PetDriverError("pair_style names pet twice; one model at a time is evaluated")
        start = positions[0]
        if start + 1 == len(words):
            raise PetDriverError("pair_style pet names no model; write `pair_style pet water`")
        values, after = _keywords(words[start + 2 :], overlay)
        if overlay and "zero" in (*words[1:start], *after):
            raise PetDriverError(
                "pair_style hybrid/overlay names zero, which stands in for pet already; leave it "
                "out, and set the depth of ghosts with comm_modify cutoff"
            )
        own = {name: values.pop(name) for name in _OWN if name in values}
        options = EvaluationOptions.from_keywords(**values)
        return cls(
            words[start + 1], options, **own, overlay=overlay, before=words[1:start], after=after
        )

    def stand_in(self, ghost_cutoff: float) -> str:
        """Pair style that makes LAMMPS keep ghosts so deep, with the other styles beside.

        :param ghost_cutoff: depth of the ghosts, angstrom
        """
        zero = f"zero {ghost_cutoff} nocoeff"
        return " ".join([_OVERLAY, *self.before, zero, *self.after]) if self.overlay else zero

    @property
    def stand_in_coefficients(self) -> str:
        """Arguments of `pair_coeff` for it."""
        return "* * zero" if self.overlay else "* *"


def _keywords(words: list[str], overlay: bool) -> tuple[dict[str, Any], list[str]]:
    """Values by keyword, and in an overlay the words of the styles that follow."""
    values: dict[str, Any] = {}
    while words:
        keyword = words[0]
        if keyword not in _KNOWN:
            if overlay:
                break
            raise PetDriverError(unknown(f"pair_style pet has no keyword {keyword!r}", _KNOWN))
        if len(words) == 1:
            raise PetDriverError(f"pair_style pet: keyword {keyword!r} has no value; give one")
        try:
            values[keyword] = _KNOWN[keyword].value(keyword, words[1])
        except PetDriverError as error:
            raise PetDriverError(f"pair_style pet: {error}") from error
        words = words[2:]
    return values, words


def type_species(
    elements: list[str], types: int, species: tuple[int, ...]
) -> npt.NDArray[np.int64]:
    """Index of the species in the model for each atom type, -1 for NULL.

    :param elements: words after `pair_coeff * *`
    :param types: number of atom types
    :param species: atomic numbers that the model knows
    :return: (types + 1,), as types count from 1
    :raises PetDriverError: if a type has no element, or the model does not know it
    """
    if len(elements) != types:
        raise PetDriverError(
            f"pair_coeff * * {' '.join(elements)} maps {len(elements)} of {types} atom types; name "
            "the element of each type in order, as in `pair_coeff * * H O`"
        )
    named = [element for element in elements if element != "NULL"]
    for element in named:
        if element not in atomic_numbers:
            raise PetDriverError(
                f"pair_coeff names {element!r}, which is no chemical element; name the element of "
                "each type, or NULL for types that the model leaves out"
            )
    if not named:
        raise PetDriverError("pair_coeff maps every type to NULL; name an element")
    numbers = np.array([atomic_numbers[element] for element in named])
    indices = np.full(types + 1, -1)
    indices[1:][np.array(elements) != "NULL"] = species_indices(numbers, species)
    return indices
