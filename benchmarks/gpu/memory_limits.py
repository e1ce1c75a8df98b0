"""Step (f): memory shares, a shortage and the step after it, the largest system."""

from __future__ import annotations

import warnings
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from ase import Atoms
from card import MEGABYTE, begin_peak, index, peak, timed
from record import NotMetError, NotRehearsedError, Record, Row
from settings import Settings
from systems import moved, potential, water

from pet_driver import PetDriverError
from pet_driver.evaluation.potential import Potential
from pet_driver.evaluation.prediction import Prediction

SHARES = (0.4, 0.05, 0.005)
_LARGEST = 5_308_416
_SAME = 1e-5  # of forces in float32 with other chunks, relative to the largest
_AFTER_LAUNCHES = 200  # at which the pretended GPU runs short
_MOST_SECONDS = 60.0


class Reference:
    """Prediction of the first evaluation, with which the others are compared."""

    def __init__(self) -> None:
        self.first: Prediction | None = None

    def compared(self, found: Prediction, numbers: Row) -> Row:
        """The numbers with the difference from the first prediction.

        :raises NotMetError: if it is too large
        """
        if self.first is None:
            self.first = found
        difference = np.abs(found.forces - self.first.forces).max()
        error = float(difference / np.abs(self.first.forces).max())
        numbers = {**numbers, "forces, difference": error}
        if not error <= _SAME:
            raise NotMetError("forces depend on the memory", numbers)
        return numbers


def run(settings: Settings, record: Record) -> None:
    """All rows of the step."""
    atoms = water(24 if settings.quick else 5184)
    reference = Reference()
    for share in SHARES:
        work = partial(with_share, settings, atoms, share, reference)
        record.row(f"{len(atoms)} atoms, memory share {share:g}", work)
    # Only once a row needs it; the step after the shortage is of the same potential.
    short = cache(lambda: potential("water", "float32", settings.device))
    record.row("a shortage", lambda: shortage(settings, atoms, short(), reference))
    record.row("the step after it", lambda: evaluated(settings, atoms, short(), reference))
    short.cache_clear()
    grow(settings, record, "layer")
    grow(settings, record, "none")


def with_share(settings: Settings, atoms: Atoms, share: float, reference: Reference) -> Row:
    """A later evaluation with a share of the memory."""
    model = potential("water", "float32", settings.device, memory_share=share)
    for _ in range(2):
        model.compute(atoms)
    return evaluated(settings, atoms, model, reference)


def evaluated(settings: Settings, atoms: Atoms, model: Potential, reference: Reference) -> Row:
    """Time and peak of one evaluation."""
    begin_peak(settings)
    milliseconds, found = timed(settings, lambda: model.compute(atoms))
    chunk = model.chunking.chunk
    return reference.compared(found, {"ms": milliseconds, "chunk": chunk, **peak(settings)})


def shortage(settings: Settings, atoms: Atoms, model: Potential, reference: Reference) -> Row:
    """An evaluation during which memory runs short: it goes on in smaller parts, and says so."""
    numbers = run_short(settings, atoms, model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            row = evaluated(settings, atoms, model, reference)
        finally:
            if settings.on_gpu:
                torch.cuda.set_per_process_memory_fraction(1.0, index(settings))
    said = [str(one.message) for one in caught if "out of memory" in str(one.message)]
    row = {**row, **numbers, "shortages": len(said)}
    if not said:
        raise NotMetError("memory did not run short", row)
    return row


def run_short(settings: Settings, atoms: Atoms, model: Potential) -> Row:
    """Let memory run short in the next evaluation.

    The limit is one of torch's allocator and unknown to the driver, so that chunks are chosen as
    if all of the memory were there.
    """
    if settings.pretended:
        import pretended_gpu

        gpu = pretended_gpu.PretendedGpu.current
        assert gpu is not None
        gpu.short_at = {gpu.launches + _AFTER_LAUNCHES}
        return {}
    if not settings.on_gpu:
        raise NotRehearsedError("memory of a CPU cannot be limited")
    begin_peak(settings)
    before = torch.cuda.memory_allocated(settings.device)
    model.compute(atoms)
    most = torch.cuda.max_memory_allocated(settings.device)
    torch.cuda.empty_cache()
    limit = before + 0.6 * (most - before)
    total = torch.cuda.get_device_properties(settings.device).total_memory
    torch.cuda.set_per_process_memory_fraction(limit / total, index(settings))
    return {"limit MB": round(limit / MEGABYTE, 1)}


def grow(settings: Settings, record: Record, scope: str) -> None:
    """Twice as many atoms until memory or time is over; the last size that fits is the largest."""
    n_atoms, most = (24, 24) if settings.quick else (20736, _LARGEST)
    while n_atoms <= most:
        work = partial(largest, settings, scope, n_atoms)
        row = record.row(f"size, {scope}, {n_atoms} atoms", work, 2 * _MOST_SECONDS)
        if row is None or not row.get("fits", True) or row["ms"] > 0.25e3 * _MOST_SECONDS:
            return
        if row["ms"] > 250.0 * record.seconds_left:
            return
        n_atoms *= 2


def largest(settings: Settings, scope: str, n_atoms: int) -> Row:
    """One evaluation of a large system. That it does not fit is a result, no failure."""
    atoms = water(n_atoms)
    model = potential("water", "float32", settings.device, scope=scope)
    begin_peak(settings)
    numbers: dict[str, Any] = {"fits": True}
    try:
        numbers["first ms"], _ = timed(settings, lambda: model.compute(atoms))
        model.compute(moved(atoms, 1))
        numbers["ms"], _ = timed(settings, lambda: model.compute(moved(atoms, 2)))
    except (torch.OutOfMemoryError, PetDriverError) as error:
        if "out of memory" not in str(error):
            raise
        numbers.update(fits=False, said=" ".join(str(error).split())[:200])
    numbers["us/atom"] = 1e3 * numbers["ms"] / n_atoms if "ms" in numbers else None
    return {**numbers, **peak(settings)}
