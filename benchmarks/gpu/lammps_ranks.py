"""Step (c): pet-lmp on one and on two ranks that share the card; ranks that fail in mid-step."""

from __future__ import annotations

import re
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io.lammpsdata import write_lammps_data
from programs import Finished, installed, mpi_command, program_environment, run_program
from record import NotMetError, Record, Row
from settings import Settings
from systems import ROOT, water

SCRIPT = """
units metal
read_data water.data
timestep 0.0005
pair_style pet water device {device} halo {halo} self_test no {options}
pair_coeff * * H O
velocity all create 300.0 4928459 mom yes rot no dist gaussian loop all
fix integrate all nve
thermo 1
thermo_style custom step temp pe press pxx pyy pzz pxy pxz pyz
thermo_modify format float %.14g
run 1
run {steps}
"""
CASES = [(1, "exchange"), (1, "wide"), (2, "exchange"), (2, "wide")]
# The script of the tests in which a rank fails in one call of a message layer.
FAILING = ROOT / "tests" / "engines" / "lammps" / "failing_rank.py"
_SAME = 1e-9  # of two runs in float64, relative
_LIMIT = 120.0


def run(settings: Settings, record: Record) -> None:
    """All rows of the step."""
    reference: list[np.ndarray] = []

    def agree(ranks: int, halo: str) -> Row:
        """The same numbers in every step on any number of ranks."""
        steps = 2 if settings.quick else 10
        result, numbers = dynamics(settings, ranks, halo, steps, "dtype float64")
        reference.append(thermo(result.stdout))
        difference = np.abs(reference[-1] - reference[0]) / np.abs(reference[0]).max(axis=0)
        numbers["difference from the first"] = float(difference.max())
        if not numbers["difference from the first"] <= _SAME:
            raise NotMetError(f"it differs from the first by more than {_SAME:.0e}", numbers)
        return numbers

    for ranks, halo in CASES:
        record.row(f"{ranks}, {halo}, float64", partial(agree, ranks, halo), _LIMIT)
    record.row("a rank fails in mid-step", partial(error, settings, "exchange"), _LIMIT)
    if not settings.quick:
        record.row("the same, wide halo", partial(error, settings, "wide"), _LIMIT)
        record.row("a rank fails in a backward pass", partial(error, settings, "backward"), _LIMIT)
        record.row("a rank is killed", partial(killed, settings), _LIMIT)
        record.row("a rank runs out of memory", partial(short, settings), _LIMIT)
    extra = {"dtype float32": CASES, "dtype float32 precision tf32": CASES[:1]}
    for options, chosen in ({} if settings.quick else extra).items():
        for ranks, halo in chosen:
            work = partial(dynamics, settings, ranks, halo, 20, options)
            name = options.split()[-1]
            record.row(f"{ranks}, {halo}, {name}", lambda work=work: work()[1], _LIMIT)


def dynamics(
    settings: Settings, ranks: int, halo: str, steps: int, options: str
) -> tuple[Finished, Row]:
    """A run of pet-lmp; what it printed, and its times."""
    text = SCRIPT.format(device=settings.device, halo=halo, steps=steps, options=options)
    program = program_environment(settings, installed("pet-lmp"))
    result = job(settings, ranks, text, program)
    number = r"([\d.e+-]+)"
    pattern = rf"{number} evaluations in {number} s: model {number} %, exchange {number} %, "
    pattern += rf"neighbor lists {number} %, LAMMPS {number} %"
    found = re.findall(pattern, result.stdout)
    if not found:
        raise RuntimeError(f"pet-lmp printed no times; its last lines: {result.tail}")
    count, seconds, model, exchange, lists, rest = map(float, found[-1])
    devices = re.search(r"ranks: (.*?), threads each", result.stdout)
    return result, {
        "devices": devices[1] if devices else None,
        "ms/step": 1e3 * seconds / max(count, 1.0),
        "model %": model,
        "exchange %": exchange,
        "lists %": lists,
        "LAMMPS %": rest,
        "through": "GPU memory" if "through GPU memory" in result.stdout else "host memory",
    }


def job(
    settings: Settings, ranks: int, text: str, program: list[str], fails: bool = False
) -> Finished:
    """Run a script of LAMMPS in a folder of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in.lmp").write_text(text)
        write_lammps_data(folder / "water.data", box(settings), specorder=["H", "O"], masses=True)
        command = [*mpi_command(ranks), *program, "-in", "in.lmp", "-log", "none"]
        return run_program(command, folder, settings, _LIMIT, fails)


def box(settings: Settings) -> Atoms:
    """648 atoms of water; a small box for a rehearsal."""
    atoms = water(24 if settings.quick else 648)
    if settings.quick:
        atoms.center(vacuum=2.0)
        atoms.pbc = True
    return atoms


def thermo(output: str) -> np.ndarray:
    """Numbers of the last thermo output, one row a step."""
    lines = output.splitlines()
    start = [k for k, line in enumerate(lines) if line.split()[:2] == ["Step", "Temp"]][-1]
    end = next(k for k in range(start, len(lines)) if lines[k].startswith("Loop time"))
    return np.array([[float(x) for x in line.split()] for line in lines[start + 1 : end]])


# -- failures --


def failing(settings: Settings, how: str, call: int, halo: str = "exchange") -> Finished:
    """A run in which the second rank fails in this call of a message layer."""
    options = "dtype float64"
    text = SCRIPT.format(device=settings.device, halo=halo, steps=10, options=options)
    program = [*program_environment(settings, FAILING), how, "1", str(call)]
    return job(settings, 2, text, program, fails=True)


def error(settings: Settings, where: str) -> Row:
    """All ranks end with one sentence: an error in a layer or in its backward pass."""
    how = "backward" if where == "backward" else "error"
    halo = "wide" if where == "wide" else "exchange"
    result = failing(settings, how, 9, halo)
    said = [line for line in result.stderr.splitlines() if "injected" in line]
    numbers: dict[str, Any] = {"exit code": result.code, "printed": said[0] if said else None}
    if result.code != 2 or len(said) != 1 or "rank 1: ValueError" not in said[0]:
        raise NotMetError(f"not ended with one sentence: {result.tail}", numbers)
    return numbers


def killed(settings: Settings) -> Row:
    """The launcher ends the other rank."""
    result = failing(settings, "killed", 9)
    if not result.code:
        raise NotMetError("the run went on", {"exit code": 0})
    return {"exit code": result.code}


def short(settings: Settings) -> Row:
    """All ranks go on with smaller chunks and give the same numbers."""
    result = failing(settings, "memory", 4)
    text = SCRIPT.format(device=settings.device, halo="exchange", steps=10, options="dtype float64")
    program = program_environment(settings, installed("pet-lmp"))
    expected = thermo(job(settings, 2, text, program).stdout)
    said = [line for line in result.stderr.splitlines() if "out of memory" in line]
    numbers: dict[str, Any] = {"exit code": result.code, "printed": said[0] if said else None}
    if result.code or len(said) != 1:
        raise NotMetError(f"it did not go on: {result.tail}", numbers)
    difference = np.abs(thermo(result.stdout) - expected) / np.abs(expected).max(axis=0)
    numbers["difference from the first"] = float(difference.max())
    if not numbers["difference from the first"] <= _SAME:
        raise NotMetError("smaller chunks give other numbers", numbers)
    return numbers
