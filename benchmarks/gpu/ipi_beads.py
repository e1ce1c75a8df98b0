"""Step (d): i-PI with 1, 16 and 64 beads: unix sockets, shared memory, a PES inside i-PI."""

from __future__ import annotations

import re
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from ase import Atoms
from ipi_job import Job, Process, nve_input
from programs import WRAPPER, installed
from record import NotMetError, Record, Row
from settings import Settings
from systems import water

from pet_driver import load_model
from pet_driver.engines.ipi import ipi_pes_path

_PROPERTIES = "step, potential{{electronvolt}}, conserved{{electronvolt}}"
_SOCKET = (
    "<ffsocket name='pet' mode='{mode}' pbc='False'> <address> {{address}} </address>"
    " <batch_size> {beads} </batch_size> <latency> 1e-4 </latency> </ffsocket>"
)
_DIRECT = (
    "<ffdirect name='pet'> <pes> custom </pes> <pes_path> {path} </pes_path>"
    " <batch_size> {beads} </batch_size> <parameters> {{{{ template: init.xyz, model: water,"
    " device: {device} }}}} </parameters> </ffdirect>"
)
MODES = ("unix", "shm", "direct")
_LIMIT = 90.0
_SAME = 1e-6  # of the first potential energy beside the CPU in float64, relative


class GpuJob(Job):
    """A job whose processes on the GPU run with the pretence, if there is one.

    :param settings: of the step
    :param mode: "direct": i-PI itself uses the GPU
    """

    def __init__(self, settings: Settings, mode: str, *given: Any) -> None:  # noqa: ANN401
        super().__init__(*given)
        self._settings, self._mode = settings, mode

    def _start(self, words: list[str], log: IO[str]) -> Process:
        on_gpu = Path(words[0]).name == "pet-driver" or self._mode == "direct"
        if self._settings.pretended and on_gpu:
            words = [sys.executable, str(WRAPPER), *words]
        return super()._start(words, log)


def run(settings: Settings, record: Record) -> None:
    """A row for each transport and number of beads; all beads in one request."""
    installed("i-pi")
    for beads in (1, 4) if settings.quick else (1, 16, 64):
        for mode in MODES:
            name = "in process" if mode == "direct" else mode
            work = partial(simulated, settings, mode, beads)
            record.row(f"{name}, {beads} beads", work, _LIMIT)


def simulated(settings: Settings, mode: str, beads: int) -> Row:
    """Run NVE; time per step, and the first energy beside that of the CPU."""
    atoms, steps = water(24 if settings.quick else 192), 3 if settings.quick else 20
    field = (_DIRECT if mode == "direct" else _SOCKET).format(
        mode=mode, beads=beads, path=ipi_pes_path(), device=settings.device
    )
    text = nve_input(_PROPERTIES, field, beads, steps)
    words: list[str | Path] = [installed("pet-driver"), "ipi", "water", "--template", "init.xyz"]
    words += [f"--{mode}", "{address}", "--device", settings.device]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            outcome = GpuJob(settings, mode, folder, atoms, text, steps).run(mode, words)
        except (Exception, SystemExit) as error:
            raise RuntimeError(f"{error}; {last_lines(folder)}") from error
        values = np.loadtxt(folder / "simulation.out", ndmin=2)
    found = re.search(r"\(([\d.]+) ms for each\)", outcome.printed)
    return checked(atoms, values, beads, 1e3 * outcome.seconds_per_step, found)


def checked(
    atoms: Atoms, values: np.ndarray, beads: int, step: float, found: re.Match[str] | None
) -> Row:
    """Numbers of a run, whose first energy must be that of the CPU.

    :param values: lines of i-PI's output: step, potential, conserved
    :param step: ms
    :param found: in the output of the driver, its time for each bead
    """
    expected = load_model("water", dtype="float64").compute(atoms).energy
    error = abs(values[0, 1] / expected - 1.0)
    numbers: Row = {
        "atoms": len(atoms),
        "ms/step": step,
        "ms/bead": step / beads,
        "model, ms/bead": float(found[1]) if found else None,
        "first energy, difference": error,
        "conserved, largest change, meV/atom": 1e3 * float(np.ptp(values[:, 2])) / len(atoms),
    }
    if not error <= _SAME:
        raise NotMetError(f"the first energy differs from the CPU's by {error:.1e}", numbers)
    return numbers


def last_lines(folder: Path) -> str:
    """What i-PI and its driver printed last."""
    found = []
    for name in ("ipi.log", "driver.log"):
        path = folder / name
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        said = [line.strip() for line in lines if line.strip()]
        found.append(f"{name}: {' / '.join(said[-2:])}")
    return "; ".join(found)
