"""Fixes, computes and settings of a script that go to the pair style itself.

Forces and energies of `pair_style pet` reach LAMMPS through a fix. What asks the pair style instead
gets zeros from the one that stands in for it, without a message.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from ...errors import PetDriverError

if TYPE_CHECKING:
    from lammps import lammps

# gcmc, widom and charge/regulation try out insertions and removals: with energies of pairs, or by
# the total energy after the atom was excluded from neighbor lists, which the model does not read.
# sgcmc and bond/swap exchange atoms by energies of the pair style. The others call it for displaced
# atoms, for the forces between two groups or through a plane, or for those of single pairs.
_ASKING = {
    "fix": (
        "gcmc",
        "widom",
        "charge/regulation",
        "numdiff",
        "numdiff/virial",
        "sgcmc",
        "bond/swap",
    ),
    "compute": (
        *("born/matrix", "fep", "fep/ta", "group/group", "hma", "stress/mop", "stress/mop/profile"),
        *("stress/cartesian", "stress/cylinder", "stress/spherical", "pressure/cylinder"),
        *("force/tally", "pe/tally", "pe/mol/tally", "stress/tally"),
        *("heat/flux/tally", "heat/flux/virial/tally"),
    ),
}
# They need the part of each atom's own energy that depends on each other atom, which is not kept:
# virials of atoms are made of derivatives of the total energy (J. Chem. Phys. 159, 174105).
_OWN_ENERGY = ("heat/flux", "centroid/stress/atom")
_MINIMIZATIONS = ("minimize", "neb", "neb/spin")
_OF_PAIRS = {"dist", "dx", "dy", "dz", "cutoff", "type", "radius"}  # what pair/local knows itself


class PairQueries:
    """What of a script asks the pair style, noted as it is defined and checked before a run."""

    def __init__(self) -> None:
        self._styles: dict[tuple[str, str], str] = {}
        self._excludes = False

    def note(self, kind: str, words: list[str]) -> None:
        """Note a fix or a compute.

        :param kind: "fix" or "compute"
        :param words: after it: ID, group, style, arguments
        """
        if len(words) < 3:
            return
        # Suffixes name the package that executes a style.
        style = words[2].removesuffix("/kk").removesuffix("/omp")
        self._styles.pop((kind, words[0]), None)
        asks = style == "pair/local" and not set(words[3:]) <= _OF_PAIRS
        if asks or style in (*_ASKING[kind], *_OWN_ENERGY, "pe/atom"):
            self._styles[kind, words[0]] = style

    def note_neighbor_settings(self, words: list[str]) -> None:
        """Note whether pairs are excluded.

        :param words: after `neigh_modify`
        """
        if "exclude" in words[:-1]:
            self._excludes = words[words.index("exclude") + 1] != "none"

    def check(self, lmp: lammps, command: str) -> None:
        """Warn of excluded pairs.

        :param command: first word of the command that runs
        :raises PetDriverError: if a fix or a compute that still exists would be wrong
        """
        for (kind, name), style in self._styles.items():
            if lmp.has_id(kind, name):
                _refuse(kind, name, style, command)
        if self._excludes:
            self._excludes = False
            warnings.warn(
                "neigh_modify exclude has no effect on pair_style pet, which sees all atoms whose "
                "type is not NULL",
                stacklevel=2,
            )


def _refuse(kind: str, name: str, style: str, command: str) -> None:
    """Refuse a fix or a compute, unless it is right with this command.

    :raises PetDriverError: if it would be wrong
    """
    if style in _OWN_ENERGY:
        raise PetDriverError(
            f"{kind} {name} has the style {style}, whose formula does not hold for the per-atom "
            f"virials of a message-passing model; remove it with un{kind} before the run"
        )
    if style != "pe/atom":
        raise PetDriverError(
            f"{kind} {name} has the style {style}, which asks the pair style itself and "
            f"would get zeros from pet; remove it with un{kind} before the run"
        )
    if command in _MINIMIZATIONS:  # `fix external` learns in dynamics only when they are needed
        raise PetDriverError(
            f"{kind} {name} has the style pe/atom, and LAMMPS takes no per-atom energies from a "
            f"fix during {command}; define it, and what uses it, after that command"
        )
