"""Optional packages that an engine needs, and the oldest release that it works with."""

from __future__ import annotations

import importlib.metadata
import re

from ..errors import PetDriverError


def require(distribution: str, oldest: str, extra: str, python: str = "3.10") -> None:
    """Check that a package is installed and not too old.

    >>> require("numpy", "1.26", "lammps")

    :param distribution: name under which the package is installed, not imported
    :param oldest: first release that has what is needed, numbers with dots in between
    :param extra: of this package, with which the other one is installed
    :param python: oldest Python that the other package supports
    :raises PetDriverError: if the package is missing or older
    """
    advice = f'install pet-driver with it, pip install "pet-driver[{extra}]", on Python {python} or'
    try:
        present = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError as error:
        raise PetDriverError(
            f"the package {distribution} is not installed; {advice} newer"
        ) from error
    if _numbers(present) < _numbers(oldest):
        raise PetDriverError(
            f"{distribution} is {present}, but {oldest} or newer is needed; {advice} newer"
        )


def _numbers(release: str) -> list[int]:
    """Numbers at the start of a release: ``8.6.1.dev2`` is [8, 6, 1]."""
    found = re.match(r"\d+(\.\d+)*", release)
    return [int(number) for number in found[0].split(".")] if found else []
