"""Step (h): time per step by size, scope, precision and shape of the network, split into parts."""

from __future__ import annotations

import itertools
import statistics
import time
from dataclasses import dataclass
from functools import partial

from ase import Atoms
from card import begin_peak, peak, timed
from launches import counted
from parts_of_step import PARTS, measured
from record import Record, Row
from settings import Settings
from systems import moved, potential, water

from pet_driver.evaluation.potential import Potential

SIZES = (24, 192, 648, 5184, 20000)
_REPEATS = 20
_LEAST = 3
_ROW_SHARE = 0.08  # of the time of the step, after which a row takes no more than `_LEAST` repeats
_LONGEST = 120.0


@dataclass(frozen=True)
class Case:
    """One row."""

    shape: str
    scope: str
    precision: str
    n_atoms: int

    @property
    def name(self) -> str:
        """Of the row."""
        return f"{self.shape}, {self.scope}, {self.precision}, {self.n_atoms}"


def run(settings: Settings, record: Record) -> None:
    """What matters most comes first, as the time may not suffice for all."""
    budget = record.seconds_left
    hopeless: list[Case] = []
    for case in cases(settings.quick):
        if any(_needs_more(case, other) for other in hopeless):
            continue
        row = record.row(case.name, partial(step_time, settings, case, budget), _LONGEST)
        failed = row is None and record.rows[-1]["status"] == "failed"
        if failed and "out of memory" in record.rows[-1].get("sentence", ""):
            hopeless.append(case)


def cases(quick: bool) -> list[Case]:
    """By importance: both scopes in float32, scope layer in the other precisions."""
    if quick:
        chosen = [("water", "none", "float64", 24), ("XS", "layer", "float32", 24)]
        return [Case("water", "layer", "float32", 24), *(Case(*words) for words in chosen)]
    found = []
    for precision in ("float32", "tf32", "float64"):
        scopes = ("layer", "none") if precision == "float32" else ("layer",)
        for shape, scope in itertools.product(("water", "XS", "S"), scopes):
            found += [Case(shape, scope, precision, n_atoms) for n_atoms in SIZES]
    return found


def _needs_more(case: Case, other: Case) -> bool:
    """Whether a case is the same as one that did not fit, but larger."""
    same = (case.shape, case.scope, case.precision) == (other.shape, other.scope, other.precision)
    return same and case.n_atoms > other.n_atoms


def step_time(settings: Settings, case: Case, budget: float) -> Row:
    """Median time of a step, in which atoms move but lists stay, and where it goes.

    :param budget: seconds of the whole step
    """
    atoms = water(case.n_atoms)
    model = potential(case.shape, case.precision, settings.device, scope=case.scope)
    begun = time.monotonic()
    begin_peak(settings)
    first, _ = timed(settings, lambda: model.compute(atoms))
    for k in range(2):
        model.compute(moved(atoms, 1000 + k))
    times: list[float] = []
    repeats = 3 if settings.quick else _REPEATS
    while len(times) < repeats:
        if len(times) >= _LEAST and time.monotonic() - begun > _ROW_SHARE * budget:
            break
        structure = moved(atoms, len(times))
        times.append(timed(settings, partial(model.compute, structure))[0])
    memory = peak(settings)
    median = statistics.median(times)
    numbers: Row = {
        "atoms": len(atoms),
        "ms": median,
        "fastest": min(times),
        "slowest": max(times),
        "repeats": len(times),
        "us/atom": 1e3 * median / len(atoms),
        "first ms": first,
        **split(settings, model, atoms, 1 if len(times) < _REPEATS else 3),
        **counted(settings, lambda: model.compute(moved(atoms, 2000))),
        **memory,
    }
    if case.scope == "layer":
        counts = model.frames(atoms).counts()
        numbers["frames per atom"] = counts.to("cpu").double().mean().item()
    return numbers


def split(settings: Settings, model: Potential, atoms: Atoms, repeats: int) -> Row:
    """Milliseconds of each part, means of a few steps; the sum is larger than the step without.

    The host synchronizes with the card after each part, which costs time itself.
    """
    with measured(settings) as watch:
        total = 0.0
        for k in range(repeats):
            total += timed(settings, partial(model.compute, moved(atoms, 3000 + k)))[0]
    found = {part: 1e3 * watch.seconds[part] / repeats for part in PARTS}
    known = {part: value for part, value in found.items() if value == value}
    # A part that was not found has no number, and its time is among the rest.
    return {**dict.fromkeys(PARTS), **known, "rest": total / repeats - sum(known.values())}
