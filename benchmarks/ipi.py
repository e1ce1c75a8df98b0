"""What i-PI costs beside the model: time per step less the time in the model, by transport, with
our client and with i-PI's own Python driver that loads the same model.

python benchmarks/ipi.py [--molecules 64] [--beads 1 16] [--steps 10]

Float32, model `water`. Runs that are compared follow each other; the figures are of one run each.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import numpy as np
from ase import Atoms
from make_water_box import length, thermal_water

from pet_driver.engines import ipi_pes_path
from pet_driver.progress import Progress

BIN = Path(sys.executable).parent
INPUT = """<simulation verbosity='low'>
  <output prefix='simulation'>
    <properties stride='1' filename='out'> [ step, conserved ] </properties>
  </output>
  <total_steps> {steps} </total_steps>
  <prng> <seed> 1 </seed> </prng>
  {field}
  <system>
    <initialize nbeads='{beads}'>
      <file mode='ase' units='angstrom'> init.xyz </file>
      <velocities mode='thermal' units='kelvin'> 300 </velocities>
    </initialize>
    <forces> <force forcefield='pet'/> </forces>
    <ensemble> <temperature units='kelvin'> 300 </temperature> </ensemble>
    <motion mode='dynamics'>
      <dynamics mode='nve'> <timestep units='femtosecond'> 0.25 </timestep> </dynamics>
    </motion>
  </system>
</simulation>
"""
SOCKET = """<ffsocket name='pet' mode='{mode}' pbc='False'>
    <address> {address} </address> {port} {batch} <latency> 1e-3 </latency> </ffsocket>"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--molecules", type=int, nargs="+", default=[64], help="cubes: 64, 343")
    parser.add_argument("--beads", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args()
    cases = [
        (driver, mode, batched)
        for mode in ("unix", "inet", "shm")
        for driver in ("ours", "i-PI's")
        for batched in (False, True)
    ]
    rows = []
    total = len(options.molecules) * sum(
        sum(1 for case in cases if not (case[2] and beads == 1)) for beads in options.beads
    )
    with Progress("runs", total) as progress:
        for molecules in options.molecules:
            per_side = round(molecules ** (1 / 3))
            positions = thermal_water(per_side, 2.0)
            atoms = Atoms("OHH" * molecules, positions, cell=[length(per_side)] * 3, pbc=True)
            for beads in options.beads:
                for driver, mode, batched in cases:
                    if batched and beads == 1:
                        continue
                    seconds, said = run(atoms, beads, options.steps, driver, mode, batched)
                    rows.append((3 * molecules, beads, mode, batched, driver, seconds, said))
                    progress.advance(f"{mode}, {driver}")
    print("\n| atoms | beads | transport | batched | driver | ms/step | ours: not in the model |")
    print("|---|---|---|---|---|---|---|")
    for atoms, beads, mode, batched, driver, seconds, outside in rows:
        share = "-" if outside is None else f"{outside:.0%}"
        print(
            f"| {atoms} | {beads} | {mode} | {'yes' if batched else 'no'} | {driver} "
            f"| {1e3 * seconds:.0f} | {share} |"
        )


def run(
    atoms: Atoms, beads: int, steps: int, driver: str, mode: str, batched: bool
) -> tuple[float, float | None]:
    """Seconds per step, and for our client the share of the time outside of the model."""
    name = f"pet_bench_{uuid.uuid4().hex[:8]}"
    batch = f"<batch_size> {beads} </batch_size>" if batched else ""
    port = 0
    if mode == "inet":
        import socket

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    address = "127.0.0.1" if mode == "inet" else name
    field = SOCKET.format(
        mode=mode, address=address, port=f"<port> {port} </port>" if port else "", batch=batch
    )
    where = ["--host", address, "--port", str(port)] if port else [f"--{mode}", name]
    command = [BIN / "pet-driver", "ipi", "water", "--template", "init.xyz", *where]
    if driver != "ours":
        command = [BIN / "i-pi-py_driver", "-m", "custom", "-P", ipi_pes_path(), "-a", address]
        command += ["-o", "template=init.xyz,model=water"]
        command += {"unix": ["-u"], "shm": ["--shm"], "inet": ["-p", str(port)]}[mode]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        atoms.write(folder / "init.xyz", format="extxyz")
        (folder / "input.xml").write_text(INPUT.format(steps=steps, beads=beads, field=field))
        with (folder / "ipi.log").open("w") as log:
            server = subprocess.Popen(
                [BIN / "i-pi", "input.xml"], cwd=folder, stdout=log, stderr=subprocess.STDOUT
            )
            wait_for(folder, name, port)
            client = subprocess.Popen(
                [str(word) for word in command], cwd=folder, stderr=subprocess.PIPE, text=True
            )
            try:
                times = step_times(folder / "simulation.out", steps, server)
                _, errors = client.communicate(timeout=60)
            finally:
                for process in (client, server):
                    process.kill()
                    process.wait()
    said = re.search(r"(\d+)% of the time in the model", errors)
    # From the first step on: the start of the driver is not counted.
    seconds = (times[-1] - times[0]) / (len(times) - 1)
    return seconds, 1.0 - int(said[1]) / 100 if said and driver == "ours" else None


def wait_for(folder: Path, name: str, port: int) -> None:
    """Until i-PI listens: its own driver does not wait."""
    for _ in range(200):
        if port and "listening" in (folder / "ipi.log").read_text().lower():
            break
        if not port and os.path.exists(f"/tmp/ipi_{name}"):
            break
        time.sleep(0.05)
    time.sleep(0.5)


def step_times(output: Path, steps: int, server: subprocess.Popen) -> np.ndarray:
    """When each line of i-PI's output appeared."""
    found: list[float] = []
    while len(found) < steps + 1 and (server.poll() is None or output.exists()):
        if output.exists():
            lines = sum(1 for line in output.open() if not line.startswith("#"))
            found += [time.perf_counter()] * (lines - len(found))
        if server.poll() is not None and len(found) < steps + 1:
            break
        time.sleep(0.002)
    if len(found) < 2:
        sys.exit(f"i-PI made no steps, see {output.parent}/ipi.log")
    return np.array(found)


if __name__ == "__main__":
    main()
