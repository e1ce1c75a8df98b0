"""Units of labels, and their values in eV and angstrom."""

from __future__ import annotations

from ase import units

from ..errors import PetDriverError

ENERGIES = {
    "eV": 1.0,
    "meV": 1e-3,
    "Hartree": units.Hartree,
    "Rydberg": units.Rydberg,
    "kcal/mol": units.kcal / units.mol,
    "kJ/mol": units.kJ / units.mol,
}
LENGTHS = {"angstrom": 1.0, "bohr": units.Bohr, "nm": units.nm}
PRESSURES = {"GPa": units.GPa, "kbar": 0.1 * units.GPa, "bar": 1e-4 * units.GPa}
EV_PER_CUBIC_ANGSTROM = 1.0 / units.GPa  # in GPa


def energy_unit(name: str) -> float:
    """Value of a unit of energy.

    :return: eV
    :raises PetDriverError: if there is no such unit
    """
    return _find(name, ENERGIES, "data.energy_unit")


def length_unit(name: str) -> float:
    """Value of a unit of length.

    :return: angstrom
    :raises PetDriverError: if there is no such unit
    """
    return _find(name, LENGTHS, "data.length_unit")


def forces_unit(name: str) -> float:
    """Value of a unit of forces.

    :param name: such as ``Hartree/bohr``
    :return: eV/angstrom
    :raises PetDriverError: if there is no such unit
    """
    known = {f"{e}/{x}": a / b for e, a in ENERGIES.items() for x, b in LENGTHS.items()}
    return _find(name, known, "data.forces_unit")


def stress_unit(name: str, kind: str = "stress") -> float:
    """Value of a unit of stress, or of the virial, which is an energy.

    :param name: such as ``GPa`` or ``eV/angstrom^3``; of virials such as ``eV``
    :param kind: "stress" or "virial"
    :return: eV/angstrom^3 or eV
    :raises PetDriverError: if there is no such unit
    """
    if kind == "virial":
        return _find(name, ENERGIES, "data.stress_unit")
    known = {f"{e}/{x}^3": a / b**3 for e, a in ENERGIES.items() for x, b in LENGTHS.items()}
    return _find(name, {**known, **PRESSURES}, "data.stress_unit")


def _find(name: str, known: dict[str, float], option: str) -> float:
    if name not in known:
        raise PetDriverError(f"{option} is {name!r}; known are {', '.join(known)}")
    return known[name]
