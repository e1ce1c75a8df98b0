"""Structures from short dynamics with plain PET: Langevin at a temperature, or also a pressure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.md.langevin import Langevin

from ..engines.ase import PETCalculator
from ..errors import PetDriverError
from ..evaluation.potential import Potential
from ..graph import System
from .structure_files import read_structure, write_structure

_SPACING = 50.0  # fs between frames: several times the decay of the correlation of forces
_MOST_FRAMES = 60  # of a run
_DISCARDED = 0.2  # share of the run, from its start
_FRICTION = 0.02 / units.fs
_LIGHT, _STEP_LIGHT, _STEP = 4.0, 0.5, 1.0  # amu; fs where an atom is lighter; fs otherwise
_COMPRESSIBILITY, _RELAXATION = 0.05 / units.GPa, 200.0  # of the barostat; fs
_LARGEST_STRAIN = 0.01  # of the volume, in one step of the barostat
_STEPS_OF_BAROSTAT = 5
_TIMES = {"fs": 1.0, "ps": 1e3, "ns": 1e6}
_PRESSURES = {"bar": units.bar, "kbar": 1e3 * units.bar, "MPa": 1e-3 * units.GPa, "GPa": units.GPa}
_WORDS = re.compile(
    r"(?P<kelvin>\d+\.?\d*)K"
    r"(:(?P<pressure>-?\d+\.?\d*)(?P<unit>bar|kbar|MPa|GPa))?"
    r":(?P<time>\d+\.?\d*)(?P<scale>fs|ps|ns)"
)


@dataclass(frozen=True)
class SampleRun:
    """Dynamics that structures are taken from.

    kelvin: temperature; fs: duration; pressure: eV/angstrom^3, None: at constant volume; words: as
    it was asked for.
    """

    kelvin: float
    fs: float
    pressure: float | None
    words: str

    @classmethod
    def parse(cls, words: str) -> SampleRun:
        """Read ``300K:2ps`` or ``300K:1bar:2ps``.

        :raises PetDriverError: if it is something else
        """
        found = _WORDS.fullmatch(words)
        if not found or not float(found["kelvin"]) or not float(found["time"]):
            raise PetDriverError(
                f"--sample is {words!r}; give temperature and time, such as 300K:2ps, or "
                "temperature, pressure and time, such as 300K:1bar:2ps"
            )
        pressure = None
        if found["pressure"] is not None:
            pressure = float(found["pressure"]) * _PRESSURES[found["unit"]]
        fs = float(found["time"]) * _TIMES[found["scale"]]
        return cls(float(found["kelvin"]), fs, pressure, words)

    @property
    def segments(self) -> int:
        """Number of equal parts of the run; a structure is kept at the end of each."""
        return max(min(int(self.fs / _SPACING), _MOST_FRAMES), 1)

    @property
    def discarded(self) -> int:
        """Number of segments, from the start, whose structures are not used."""
        return int(_DISCARDED * self.segments)


def sampled(
    plain: Potential,
    start: System,
    run: SampleRun,
    folder: Path,
    seed: int,
    advance: Callable[[], None] = lambda: None,
) -> list[System]:
    """Structures of one run, in the order of time.

    Each segment draws its random numbers from a seed of its own and starts from the file that the
    one before has written, so an interrupted run gives the same structures.

    :param folder: receives one file for each segment
    :param advance: called after each segment
    :raises PetDriverError: if the structure has no volume but a pressure was asked for, the
        dynamics is unstable, or the model cannot evaluate a structure
    """
    if run.pressure is not None and not start.pbc.all():
        raise PetDriverError(
            f"--sample {run.words} has a pressure, but the structure is not periodic in all "
            "directions; leave the pressure out"
        )
    atoms = _start(start, run, seed)
    atoms.calc = PETCalculator(plain, device=plain.options.device)
    found = []
    for segment in range(run.segments):
        path = folder / f"{segment:04d}.safetensors"
        if path.exists():
            system, _, momenta = read_structure(path)
            atoms.set_cell(system.cell)
            atoms.positions = system.positions
            atoms.set_momenta(momenta)
        else:
            _move(atoms, run, np.random.default_rng([seed, segment]))
            system = _system(atoms, start)
            write_structure(path, system, momenta=atoms.get_momenta())
        found.append(system)
        advance()
    return found[run.discarded :]


def _start(start: System, run: SampleRun, seed: int) -> Atoms:
    atoms = start.to_atoms()
    rng = np.random.default_rng([seed])
    spread = np.sqrt(atoms.get_masses() * units.kB * run.kelvin)
    atoms.set_momenta(spread[:, None] * rng.standard_normal((len(atoms), 3)))
    return atoms


def _system(atoms: Atoms, start: System) -> System:
    return System(
        start.numbers, atoms.positions.copy(), atoms.cell.array.copy(), start.pbc,
        start.charge, start.spin,
    )  # fmt: skip


def _move(atoms: Atoms, run: SampleRun, rng: np.random.Generator) -> None:
    """One segment of the dynamics.

    :raises PetDriverError: if it is unstable
    """
    step = _STEP_LIGHT if atoms.get_masses().min() < _LIGHT else _STEP
    steps = max(round(run.fs / run.segments / step), 1)
    dynamics = Langevin(
        atoms, step * units.fs, temperature_K=run.kelvin, friction=_FRICTION, fixcm=False, rng=rng
    )
    if run.pressure is not None:
        barostat = _Barostat(atoms, run.pressure, _STEPS_OF_BAROSTAT * step)
        dynamics.attach(barostat, interval=_STEPS_OF_BAROSTAT)
    try:
        dynamics.run(steps)
    except PetDriverError as error:
        raise PetDriverError(f"the dynamics of --sample {run.words} failed: {error}") from error
    # For a few atoms the kinetic energy scatters by its own size.
    if atoms.get_temperature() > run.kelvin * (3.0 + 10.0 / np.sqrt(len(atoms))):
        raise PetDriverError(
            f"the dynamics of --sample {run.words} is unstable: it reached "
            f"{atoms.get_temperature():.0f} K; start from a relaxed structure, or lower the "
            "temperature"
        )


class _Barostat:
    """Scales the cell towards a pressure, as Berendsen's barostat does.

    :param pressure: eV/angstrom^3
    :param fs: between two calls
    """

    def __init__(self, atoms: Atoms, pressure: float, fs: float) -> None:
        self.atoms, self.pressure, self.fs = atoms, pressure, fs

    def __call__(self) -> None:
        """Scale cell and positions once."""
        stress = self.atoms.get_stress(voigt=False)
        volume = self.atoms.get_volume()
        kinetic = 2.0 * self.atoms.get_kinetic_energy() / (3.0 * volume)
        excess = kinetic - np.trace(stress) / 3.0 - self.pressure
        strain = _COMPRESSIBILITY * excess * self.fs / _RELAXATION
        factor = 1.0 + float(np.clip(strain, -_LARGEST_STRAIN, _LARGEST_STRAIN))
        self.atoms.set_cell(self.atoms.cell.array * factor ** (1.0 / 3.0), scale_atoms=True)
