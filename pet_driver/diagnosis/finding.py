"""One line of a diagnosis."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A fact, and what is wrong with it.

    name: of what was looked at; value: what was found; problem: a sentence with the remedy, empty
    if all is well; only_slow: whether the problem costs time only, and results are right.
    """

    name: str
    value: str
    problem: str = ""
    only_slow: bool = False
