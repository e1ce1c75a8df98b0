"""An i-PI with its driver, for benchmarks: started, timed and cleaned up."""

from __future__ import annotations

import glob
import socket
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from ase import Atoms

BIN = Path(sys.executable).parent
# Input of a simulation. `Job` fills in {address} and {port} afterwards.
SKELETON = """<simulation verbosity='low'>
  <output prefix='simulation'>
    <properties stride='1' filename='out'> [ {properties} ] </properties>
    {trajectories}
  </output>
  <total_steps> {steps} </total_steps>
  <prng> <seed> 1 </seed> </prng>
  {fields}
  <system>
    <initialize nbeads='{beads}'>
      <file mode='ase' units='angstrom'> init.xyz </file>
      <velocities mode='thermal' units='kelvin'> 300 </velocities>
    </initialize>
    <forces> {forces} </forces>
    <ensemble> <temperature units='kelvin'> 300 </temperature> </ensemble>
    <motion mode='dynamics'>
      <dynamics mode='{ensemble}'>
        <timestep units='femtosecond'> {timestep} </timestep> {nmts} {thermostat}
      </dynamics>
    </motion>
  </system>
</simulation>
"""
Process = subprocess.Popen[bytes]


@dataclass
class Outcome:
    """Times of the steps, and what the driver printed.

    :param times: (n_steps + 1,), when each line of i-PI's output appeared, seconds
    :param printed: output of the driver
    """

    times: npt.NDArray[np.float64]
    printed: str

    @property
    def seconds_per_step(self) -> float:
        """Mean from the first step on, without the start of the driver."""
        return float(self.times[-1] - self.times[0]) / (len(self.times) - 1)


class Job:
    """A simulation of i-PI in a folder.

    :param folder: must exist
    :param atoms: written as `init.xyz`
    :param text: of the input, with {address} and {port} where they belong; it must write
        `simulation.out` with a line for each step
    :param steps: number of steps that the input asks for
    """

    def __init__(self, folder: Path, atoms: Atoms, text: str, steps: int) -> None:
        self.folder, self.steps = folder, steps
        self.name, self.port = f"pet_bench_{uuid.uuid4().hex[:8]}", free_port()
        atoms.write(folder / "init.xyz", format="extxyz")
        (folder / "input.xml").write_text(text.format(address=self.name, port=self.port))

    def run(self, mode: str, driver: list[str | Path]) -> Outcome:
        """Start i-PI and its driver, and wait for both.

        :param mode: unix, inet, shm: i-PI and a driver; direct: i-PI alone; mpi: one MPI job
        :param driver: command of the driver
        """
        words = [str(word).format(address=self.name, port=self.port) for word in driver]
        server = [str(BIN / "i-pi"), "input.xml"]
        if mode == "mpi":
            server = [str(BIN / "mpiexec"), "-n", "1", *server, ":", "-n", "1", *words]
        processes: list[Process] = []
        with (
            (self.folder / "ipi.log").open("w") as log,
            (self.folder / "driver.log").open("w") as own,
        ):
            try:
                processes.append(self._start(server, log))
                if mode in ("unix", "inet", "shm"):
                    self._wait_for_socket(mode)
                    processes.append(self._start(words, own))
                times = self._step_times(processes[0])
                for process in processes:
                    process.wait(timeout=60)
            finally:
                for process in processes:
                    process.kill()
                    process.wait()
        return Outcome(times, (self.folder / "driver.log").read_text())

    def _start(self, words: list[str], log: IO[str]) -> Process:
        return subprocess.Popen(words, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT)

    def _wait_for_socket(self, mode: str) -> None:
        """Wait until i-PI listens: its own driver does not wait."""
        for _ in range(400):
            if mode == "inet":
                listening = "listening" in (self.folder / "ipi.log").read_text().lower()
            else:
                listening = bool(glob.glob(f"/tmp/ipi_{self.name}*"))
            if listening:
                break
            time.sleep(0.05)
        time.sleep(0.5)

    def _step_times(self, server: Process) -> npt.NDArray[np.float64]:
        output = self.folder / "simulation.out"
        found: list[float] = []
        while len(found) <= self.steps:
            ended = server.poll() is not None
            if output.exists():
                lines = sum(1 for line in output.open() if not line.startswith("#"))
                found += [time.perf_counter()] * (lines - len(found))
            if ended:
                break
            time.sleep(0.002)
        if len(found) <= self.steps:
            sys.exit(f"i-PI made {len(found)} of {self.steps} steps, see {self.folder}/ipi.log")
        return np.array(found)


def nve_input(properties: str, fields: str, beads: int, steps: int) -> str:
    """Input of NVE dynamics with a time step of 0.25 fs and the force field named "pet".

    :param properties: columns of `simulation.out`
    :param fields: the force field
    """
    return SKELETON.format(
        properties=properties,
        trajectories="",
        steps=steps,
        fields=fields,
        beads=beads,
        forces="<force forcefield='pet'/>",
        ensemble="nve",
        timestep=0.25,
        nmts="",
        thermostat="",
    )


def free_port() -> int:
    """Number of a port of this machine that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
