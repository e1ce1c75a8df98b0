"""Time of a step of the model `water`, beside what the machine should reach."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

from ..evaluation.potential import load_model
from ..runtime.devices import choose_device
from .finding import Finding
from .step_time import step_times

RECORDED = Path(__file__).with_name("recorded_speeds.json")
MODEL = "water"
PER_SIDE = {"cpu": (4, 6), "cuda": (4, 12)}  # molecules along an edge of the small and larger box
_SPACING = 3.105  # angstrom between molecules: 1 g/cm^3
_SECONDS = 4.0  # of repeated evaluations, at most
_MOST_REPEATS = 20
_SLOWER = 1.6  # than expected, before it is called a problem
_ROWS, _WIDTH, _COLUMNS = 8192, 64, 192  # of products as in the model


@dataclass(frozen=True)
class Speed:
    """What was measured on a device.

    device: "cpu" or the name of a GPU; threads: of torch; gigaflops: rate of matrix products, 10^9
    operations per second; milliseconds: time of an evaluation by number of atoms.
    """

    device: str
    threads: int
    gigaflops: float
    milliseconds: dict[int, float]


def describe_speed(device: str) -> list[Finding]:
    """Time two boxes of water, and compare with recorded times.

    :param device: "cpu", "cuda" or "cuda:N"
    :raises PetDriverError: if there is no such device
    """
    speed = measure_speed(device)
    title = f"{speed.threads} threads" if speed.device == "cpu" else speed.device
    found = [Finding("matrix products", f"{speed.gigaflops:.0f} GFLOP/s, {title}")]
    for n_atoms, milliseconds in speed.milliseconds.items():
        found.append(compared(speed, n_atoms, milliseconds))
    return found


def measure_speed(device: str) -> Speed:
    """Rate of matrix products, and times of evaluations of `water` in float32.

    :raises PetDriverError: if there is no such device
    """
    kind = choose_device(device)
    potential = load_model(MODEL, device)
    times = {}
    for per_side in PER_SIDE[kind.type]:
        box = water_box(per_side)
        seconds = step_times(potential, box, _SECONDS, _MOST_REPEATS)
        times[len(box)] = 1e3 * float(np.median(seconds))
    name = "cpu" if kind.type == "cpu" else torch.cuda.get_device_name(kind)
    return Speed(name, torch.get_num_threads(), _product_rate(kind), times)


def water_box(per_side: int) -> Atoms:
    """Cubic box of water molecules on a lattice, each turned at random, always in the same way.

    :param per_side: molecules along an edge
    """
    rng = np.random.default_rng(0)
    molecule = np.array([[0.0, 0.0, 0.0], [0.757, 0.586, 0.0], [-0.757, 0.586, 0.0]])
    positions = []
    for corner in np.ndindex(per_side, per_side, per_side):
        axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        positions.append((np.array(corner) + 0.5) * _SPACING + molecule @ axes.T)
    symbols = "OHH" * per_side**3
    return Atoms(symbols, np.concatenate(positions), cell=[per_side * _SPACING] * 3, pbc=True)


def expected_milliseconds(speed: Speed, n_atoms: int) -> float | None:
    """Recorded time of a box on a device of this kind; None without a record.

    On a CPU the time is scaled by the rate of matrix products; a GPU is compared with the same card
    only.
    """
    row = _record_for(speed, n_atoms)
    if row is None or row["device"] != speed.device:
        return None
    scale = row["gigaflops"] / speed.gigaflops if speed.device == "cpu" else 1.0
    return float(row["milliseconds"][str(n_atoms)] * scale)


def _record_for(speed: Speed, n_atoms: int) -> dict[str, Any] | None:
    """Record of a box on a CPU with at most as many threads, or on a GPU, perhaps another card."""
    for row in _recorded():
        same_kind = (row["device"] == "cpu") == (speed.device == "cpu")
        if same_kind and row["threads"] <= speed.threads and str(n_atoms) in row["milliseconds"]:
            return row
    return None


def compared(speed: Speed, n_atoms: int, milliseconds: float) -> Finding:
    """Measured time of a box beside the expected one, or beside that of another card."""
    value = f"{milliseconds:.1f} ms, {1e3 * milliseconds / n_atoms:.0f} us per atom"
    expected = expected_milliseconds(speed, n_atoms)
    name = f"{n_atoms} atoms of water"
    if expected is None:
        row = _record_for(speed, n_atoms)
        if row is not None:
            value += f" ({row['device']}: {row['milliseconds'][str(n_atoms)]:.1f} ms)"
        return Finding(name, value)
    value += f" (expected: {expected:.1f} ms)"
    if milliseconds < _SLOWER * expected:
        return Finding(name, value)
    allowed = "the matrix products of this machine would allow"
    problem = (
        f"a step of {n_atoms} atoms takes {milliseconds / expected:.1f} times as long as "
        f"{allowed if speed.device == 'cpu' else 'was recorded on another such GPU'}; "
        "look for other programs, for threads, and for a CPU that is throttled"
    )
    return Finding(name, value, problem, True)


def _product_rate(device: torch.device) -> float:
    """Rate of matrix products of the shapes that the model has, 10^9 operations per second."""
    left = torch.randn(_ROWS, _WIDTH, device=device)
    right = torch.randn(_WIDTH, _COLUMNS, device=device)
    out = torch.empty(_ROWS, _COLUMNS, device=device)
    best = float("inf")
    for _ in range(20):
        start = time.perf_counter()
        torch.mm(left, right, out=out)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return 2e-9 * _ROWS * _WIDTH * _COLUMNS / best


@cache
def _recorded() -> list[dict[str, Any]]:
    """Recorded speeds: rows of many threads before rows of few."""
    rows: list[dict[str, Any]] = json.loads(RECORDED.read_text())["rows"]
    return sorted(rows, key=lambda row: -row["threads"])
