"""The steps of the GPU benchmark: their names, what they are for, and their shares of the time.

Standard library only: the runner must not fail where torch does.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One step, which runs in a process of its own.

    :param module: file in this folder with a function ``run(settings, record)``
    :param title: heading of its table
    :param weight: share of the minutes, relative to the other steps
    :param alone: whether it measures time or memory, and needs the card for itself
    """

    module: str
    title: str
    weight: float
    alone: bool = False


STEPS: dict[str, Step] = {
    "environment": Step("environment", "Card, driver, torch, MPI, ranks per GPU", 1.0),
    "agreement": Step("agreement", "The card against the CPU in float64", 3.0),
    "symmetry": Step("symmetry", "Rotations, finite differences, five equal evaluations", 1.5),
    "lammps": Step("lammps_ranks", "pet-lmp on 1 and 2 ranks that share the card", 4.0),
    "ipi": Step("ipi_beads", "i-PI: beads and transports", 2.5),
    "conservation": Step("energy_drift", "NVE of liquid water", 2.0, alone=True),
    "memory": Step("memory_limits", "Memory shares, shortage, largest system", 2.5, alone=True),
    "training": Step("training_steps", "Training: 20 steps, and a resumed run", 1.5),
    "timing": Step("step_times", "Time per step", 6.0, alone=True),
}


def turns(chosen: list[str], together: bool) -> list[list[str]]:
    """Steps that are run at the same time, one list after the other.

    :param chosen: names, in the order of `STEPS`
    :param together: whether steps that need the card for themselves are the only ones to have it
    """
    if not together:
        return [[name] for name in chosen]
    shared = [name for name in chosen if not STEPS[name].alone]
    return [*([shared] if shared else []), *([name] for name in chosen if STEPS[name].alone)]


def weight(turn: list[str]) -> float:
    """Share of the minutes of steps that are run at the same time, which is slower for each."""
    slower = 1.0 if len(turn) == 1 else 2.0
    return slower * max(STEPS[name].weight for name in turn)
