"""Where an MDI driver listens."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from ...errors import PetDriverError

_WORDS = ("role", "name", "method", "hostname", "port")
_HOW = 'give -mdi "-role ENGINE -name PET -method TCP -hostname localhost -port 8021"'


@dataclass(frozen=True)
class Address:
    """Address of a driver.

    :param port: on which the driver listens
    :param host: of the driver
    :param name: by which the driver knows this engine
    :raises PetDriverError: if the port is impossible
    """

    port: int
    host: str = "localhost"
    name: str = "PET"

    def __post_init__(self) -> None:
        if not 0 < self.port < 65536:
            raise PetDriverError(f"the port is {self.port}; give a number from 1 to 65535")

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def from_words(cls, text: str) -> Address:
        """Address in the words that all programs with MDI take after ``-mdi``.

        :raises PetDriverError: if a word is unknown or missing, the role is not that of an engine,
            or the method is not TCP
        """
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise PetDriverError(f"{text!r} has an open quotation mark; {_HOW}") from error
        names, values = words[::2], words[1::2]
        if len(names) != len(values) or any(name.lstrip("-") not in _WORDS for name in names):
            raise PetDriverError(f"{text!r} is not understood; {_HOW}")
        given = {name.lstrip("-"): value for name, value in zip(names, values, strict=True)}
        if given.get("role", "ENGINE") != "ENGINE":
            raise PetDriverError(
                f"the role is {given['role']}, but pet-driver is an engine; {_HOW}"
            )
        if given.get("method", "TCP") != "TCP":
            raise PetDriverError(
                f"the method is {given['method']}, but only TCP works here; {_HOW}"
            )
        if not given.get("port", "").isdecimal():
            raise PetDriverError(f"{text!r} has no port, or it is not a number; {_HOW}")
        host, name = given.get("hostname", "localhost"), given.get("name", "PET")
        return cls(int(given["port"]), host, name)

    def words(self) -> str:
        """The same in the words that the library of MDI takes."""
        return f"-role ENGINE -name {self.name} -method TCP -hostname {self.host} -port {self.port}"
