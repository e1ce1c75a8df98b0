"""One option: how its value is read from a word or a number, and its description for users."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import PetDriverError

_WORDS_OF_TRUTH = {
    **dict.fromkeys(("yes", "true", "on"), True),
    **dict.fromkeys(("no", "false", "off"), False),
}


@dataclass(frozen=True)
class Option:
    """How one option is read from a word or a number, and how it is described to a user.

    :param read: returns the value, given a word or a value; raises ValueError or TypeError
    :param remedy: second half of the sentence about a wrong value
    :param help: description, a phrase without a period
    :param metavar: stands for the value in the help of a command; "" for a switch without value
    :param unset: what the default None means
    :param flag: whether commands have a flag for it
    :param keyword: whether the input of LAMMPS and of i-PI has a keyword for it
    """

    read: Callable[[Any], Any]
    remedy: str
    help: str
    metavar: str = ""
    unset: str = ""
    flag: bool = True
    keyword: bool = True

    def value(self, name: str, given: object) -> Any:  # noqa: ANN401 (a type for each option)
        """Value of the option, from a word or a value.

        :param name: of the option, for the message
        :raises PetDriverError: if it is not a possible value
        """
        try:
            return self.read(given)
        except (TypeError, ValueError, OverflowError) as error:
            raise PetDriverError(f"{name} is {_shown(given)}; {self.remedy}") from error


def _shown(given: object) -> str:
    """Wrong value as a message shows it: words in quotes, numbers (also given as words) without."""
    is_number = isinstance(given, str) and re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?", given)
    return str(given) if is_number else repr(given)


def yes_or_no(given: object) -> bool:
    """Truth value of a bool, 0, 1, or of yes, no, true, false, on, off.

    :raises ValueError: for anything else
    """
    if isinstance(given, str):
        if given.lower() not in _WORDS_OF_TRUTH:
            raise ValueError(given)
        return _WORDS_OF_TRUTH[given.lower()]
    if given not in (True, False):
        raise ValueError(given)
    return bool(given)


def one_of(names: tuple[str, ...]) -> Callable[[object], str]:
    """Reader of a word that must be among some names."""

    def read(given: object) -> str:
        if given not in names:
            raise ValueError(given)
        return str(given)

    return read


def integer(least: int | None = None) -> Callable[[Any], int]:
    """Reader of an integer, not below a least one."""

    def read(given: Any) -> int:  # noqa: ANN401 (a word or a number)
        if isinstance(given, bool):
            raise ValueError(given)
        is_whole = isinstance(given, float) and given.is_integer()
        number = int(given) if isinstance(given, str) or is_whole else operator.index(given)
        if least is not None and number < least:
            raise ValueError(given)
        return number

    return read


def number(is_allowed: Callable[[float], bool]) -> Callable[[Any], float]:
    """Reader of a finite number that fulfils a condition."""

    def read(given: Any) -> float:  # noqa: ANN401 (a word or a number)
        if isinstance(given, bool):
            raise ValueError(given)
        found = float(given)
        if not (math.isfinite(found) and is_allowed(found)):
            raise ValueError(given)
        return found

    return read


def optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Reader that takes None too."""
    return lambda given: None if given is None else read(given)


def unknown(sentence: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    """Message about an unknown name, with the known ones."""
    return f"{sentence}; known are {', '.join(known)}"
