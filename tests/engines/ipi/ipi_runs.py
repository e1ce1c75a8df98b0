"""i-PI and its drivers as processes of their own, all of which end with the test."""

import glob
import os
import subprocess
import uuid

import ase.io
import numpy as np

from helpers import environment, program

INPUT = """<simulation verbosity='low'>
  <output prefix='simulation'>
    <properties stride='1' filename='out'>
      [ step, potential{{electronvolt}}, conserved{{electronvolt}}, virial_md ]
    </properties>
    <trajectory filename='frc' stride='1' format='xyz'> forces </trajectory>
  </output>
  <total_steps> {steps} </total_steps>
  <prng> <seed> 1 </seed> </prng>
  <ffsocket name='pet' mode='{mode}' pbc='False'>
    <address> {address} </address> {port} {batch} <latency> 1e-4 </latency>
  </ffsocket>
  <system>
    <initialize nbeads='{beads}'>
      <file mode='ase' units='angstrom'> init.xyz </file>
      <velocities mode='thermal' units='kelvin'> 300 </velocities>
    </initialize>
    <forces> <force forcefield='pet'/> </forces>
    <ensemble> <temperature units='kelvin'> 300 </temperature> </ensemble>
    <motion mode='dynamics'>
      <dynamics mode='nvt'>
        <timestep units='femtosecond'> 0.05 </timestep>
        <thermostat mode='pile_g'> <tau units='femtosecond'> 100 </tau> </thermostat>
      </dynamics>
    </motion>
  </system>
</simulation>
"""

# The same, for other fields of forces.
SHELL = """<simulation verbosity='low'>
  <output prefix='simulation'>
    <properties stride='1' filename='out'>
      [ step, potential{{electronvolt}}, conserved{{electronvolt}}, virial_md, kinetic_md ]
    </properties>
    <trajectory filename='frc' stride='1' format='xyz'> forces </trajectory>
    {outputs}
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
      <dynamics mode='nve'> {nmts} <timestep units='femtosecond'> 0.05 </timestep> </dynamics>
    </motion>
  </system>
</simulation>
"""


def assert_job_succeeded(result):
    """An MPI job with i-PI. i-PI leaves by os._exit; whoever of the others is still there then, for
    a tenth of a second, MPICH's launcher may kill and report: after the end, and without harm."""
    said = result.stdout[-1500:] + result.stderr[-1500:]
    assert "I-PI reports success" in result.stdout, said
    assert result.returncode in (0, 9), said


class Simulation:
    """i-PI and its drivers in one folder; everything is stopped and removed at the end."""

    def __init__(self, folder, atoms, **changes):
        self.folder = folder
        self.name = f"pet_test_{uuid.uuid4().hex[:8]}"
        values = {
            "mode": "unix",
            "address": self.name,
            "port": "",
            "batch": "",
            "beads": 1,
            "steps": 2,
        }
        ase.io.write(folder / "init.xyz", atoms, format="extxyz")
        text = changes.pop("text", INPUT)
        (folder / "input.xml").write_text(text.format(**{**values, **changes}))
        self.log = (folder / "ipi.log").open("w")
        self.server = self._start(program("i-pi"), "input.xml", stdout=self.log)
        self.drivers = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (*self.drivers, self.server):
            if process.poll() is None:
                process.kill()
            process.wait()
        self.log.close()
        for path in glob.glob(f"/tmp/ipi_{self.name}*"):
            os.unlink(path)

    def _start(self, *command, stdout=subprocess.PIPE):
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment(),
            stdout=stdout,
            stderr=subprocess.STDOUT if stdout is not subprocess.PIPE else subprocess.PIPE,
            text=True,
        )

    def drive(self, *models, options=(), template="init.xyz", address=None):
        where = address or ["--unix", self.name]
        command = [program("pet-driver"), "ipi", *map(str, models), "--template", template, *where]
        self.drivers.append(self._start(*command, "--dtype", "float64", "--wait", "30", *options))
        return self.drivers[-1]

    def finish(self, driver, timeout=120):
        _, errors = driver.communicate(timeout=timeout)
        return driver.returncode, errors

    def properties(self):
        self.server.wait(timeout=60)
        return np.loadtxt(self.folder / "simulation.out", ndmin=2)
