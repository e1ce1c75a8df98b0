"""Step (e): energy in NVE of liquid water, float32 and tf32."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
from ase import Atoms, units
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
from ase.md.verlet import VelocityVerlet
from energy_fit import fitted
from record import NotMetError, Record, Row
from settings import Settings
from systems import PRECISIONS, potential, water

from pet_driver.engines.ase import PETCalculator

_TIME_STEP = 0.5  # fs
_KELVIN = 300.0
_EQUILIBRATION = 200  # steps, with float32
_FEWEST = 60  # steps to which a line is fitted
_MOST_DRIFT = 5.0  # meV/atom/ps; a run that heats up shows more at once


def run(settings: Settings, record: Record) -> None:
    """A row for each precision, all from the same positions and velocities."""
    started: list[Atoms] = []
    runs = [name for name in PRECISIONS if name != "float64"]
    for k, precision in enumerate(runs):
        work = partial(conserved, settings, record, precision, started, len(runs) - k)
        record.row(f"NVE, {precision}", work)


def conserved(
    settings: Settings, record: Record, precision: str, started: list[Atoms], runs_left: int
) -> Row:
    """Drift and range of the total energy.

    :param started: receives the equilibrated structure
    :param runs_left: among which the time that is left is divided
    """
    if not started:
        started.append(thermal(settings))
    atoms: Atoms = started[0].copy()
    atoms.calc = PETCalculator(potential("water", precision, settings.device))
    dynamics = VelocityVerlet(atoms, _TIME_STEP * units.fs)
    steps = _FEWEST if settings.quick else 2000
    energies = [atoms.get_total_energy()]
    begun = time.monotonic()
    allowed = record.seconds_left / runs_left
    for _ in range(steps):
        dynamics.run(1)
        energies.append(atoms.get_total_energy())
        if time.monotonic() - begun > allowed and len(energies) > _FEWEST:
            break
    seconds = (time.monotonic() - begun) / (len(energies) - 1)
    line = fitted(energies, len(atoms), _TIME_STEP)
    numbers: Row = {
        "atoms": len(atoms),
        "steps": len(energies) - 1,
        "drift, meV/atom/ps": line.slope,
        "its error, meV/atom/ps": line.slope_error,
        "farthest from the line, meV/atom": line.farthest,
        "temperature, K": atoms.get_temperature(),
        "ms/step": 1e3 * seconds,
    }
    # A few steps show no drift, only the first swing of the energy.
    if not (abs(line.slope) <= _MOST_DRIFT or (settings.quick and np.isfinite(line.slope))):
        raise NotMetError("the energy drifts", numbers)
    if len(energies) - 1 < steps:
        numbers["sentence"] = f"{len(energies) - 1} of {steps} steps for want of time"
    return numbers


def thermal(settings: Settings) -> Atoms:
    """Positions and velocities at about 300 K."""
    atoms = water(24 if settings.quick else 192)
    MaxwellBoltzmannDistribution(atoms, temperature_K=_KELVIN, rng=np.random.default_rng(0))
    Stationary(atoms)
    atoms.calc = PETCalculator(potential("water", "float32", settings.device))
    VelocityVerlet(atoms, _TIME_STEP * units.fs).run(2 if settings.quick else _EQUILIBRATION)
    atoms.calc = None
    return atoms
