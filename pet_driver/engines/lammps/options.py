"""The words after `pair_style` and `pair_coeff`: which model, how it runs, what is beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase.data import atomic_numbers

from ...errors import PetDriverError
from ...graph import species_indices

# Energy of the unit style per eV; lengths are angstrom in both. LAMMPS' own constant for real.
ENERGY_UNITS = {"metal": 1.0, "real": 23.060549}
FIX_ID = "pet_driver"  # of the fix through which forces get into LAMMPS
_OVERLAY = "hybrid/overlay"


def _length(word: str) -> float:
    if float(word) < 0.0:
        raise ValueError(word)
    return float(word)


_YES_NO = {"yes": True, "no": False}.__getitem__
_KEYWORDS = {
    "device": (str, "cpu or cuda"),
    "dtype": (str, "float32 or float64"),
    "scope": (str, "the name of a scope"),
    "parity": (_YES_NO, "yes or no"),
    "extra_rotations": (int, "a number of rotations"),
    "charge": (int, "an integer"),
    "spin": (int, "a multiplicity"),
    "skin": (_length, "a length in angstrom"),
    "halo": (str, "exchange or wide"),
    "self_test": (_YES_NO, "yes or no"),
}


@dataclass
class PairStyle:
    """`pair_style pet MODEL [KEYWORD VALUE ...]`, alone or in `pair_style hybrid/overlay`.

    options: by keyword; before, after: the words of the styles around it, in an overlay.
    """

    model: str
    options: dict[str, Any] = field(default_factory=dict)
    overlay: bool = False
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)

    @classmethod
    def parse(cls, words: list[str]) -> PairStyle | None:
        """None if there is no `pet` among the styles.

        :param words: after `pair_style`
        :raises PetDriverError: if a keyword or a value is wrong
        """
        overlay = words[0].startswith("hybrid")
        places = [k for k, word in enumerate(words) if word == "pet" and (overlay or k == 0)]
        if not places:
            return None
        if overlay and words[0] != _OVERLAY:
            raise PetDriverError(
                f"pair_style {words[0]} gives each pair of types to one style, and pet works on "
                f"all atoms at once; use {_OVERLAY}"
            )
        if len(places) > 1:
            raise PetDriverError("pair_style names pet twice; one model at a time is evaluated")
        place = places[0]
        if place + 1 == len(words):
            raise PetDriverError("pair_style pet names no model; write `pair_style pet water`")
        options, after = _options(words[place + 2 :], overlay)
        return cls(words[place + 1], options, overlay, words[1:place], after)

    def in_lammps(self, reach: float) -> list[str]:
        """Commands that make LAMMPS keep ghosts so deep, with the other styles beside.

        :param reach: angstrom
        """
        zero = f"zero {reach} nocoeff"
        if not self.overlay:
            return [f"pair_style {zero}", "pair_coeff * *"]
        styles = " ".join([_OVERLAY, *self.before, zero, *self.after])
        return [f"pair_style {styles}", "pair_coeff * * zero"]


def _options(words: list[str], overlay: bool) -> tuple[dict[str, Any], list[str]]:
    """Keywords with values, and in an overlay the words of the styles that follow."""
    options = {}
    while words:
        keyword = words[0]
        if keyword not in _KEYWORDS:
            if overlay:
                break
            raise PetDriverError(
                f"pair_style pet has no keyword {keyword!r}; known are {', '.join(_KEYWORDS)}"
            )
        if len(words) == 1:
            raise PetDriverError(f"pair_style pet: keyword {keyword!r} has no value; give one")
        convert, meaning = _KEYWORDS[keyword]
        try:
            options[keyword] = convert(words[1])
        except (ValueError, KeyError) as error:
            raise PetDriverError(
                f"pair_style pet: {keyword} is {words[1]!r}; it must be {meaning}"
            ) from error
        words = words[2:]
    return options, words


def type_species(elements: list[str], types: int, species: tuple[int, ...]) -> np.ndarray:
    """Index of the species in the model for each atom type, which count from 1; -1 for NULL.

    :param elements: after `pair_coeff * *`
    :param types: number of atom types
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
                "each type, or NULL for types that the model should not see"
            )
    if not named:
        raise PetDriverError("pair_coeff maps every type to NULL; name an element")
    numbers = np.array([atomic_numbers[element] for element in named])
    kinds = np.full(types + 1, -1)
    kinds[1:][np.array(elements) != "NULL"] = species_indices(numbers, species)
    return kinds
