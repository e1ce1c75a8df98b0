"""Scripts for LAMMPS, and reading what it prints."""

import numpy as np

from helpers import ROOT

DATA = ROOT / "lammps_examples" / "water_nvt" / "water.data"
SCRIPT = """
units {units}
{box}
timestep {timestep}
pair_style pet {model} dtype float64
pair_coeff * * {elements}
velocity all create 300.0 4928459 mom yes rot no dist gaussian loop all
fix integrate all {integrate}
thermo 1
thermo_style custom step temp pe press pxx pyy pzz pxy pxz pyz
thermo_modify format float %.14g
dump atoms all custom {every} dump.*.txt id x y z fx fy fz
dump_modify atoms sort id format float %.14g
{commands}
run {steps}
"""


def script(model_file, **changes):
    values = {
        "units": "metal",
        "box": f"read_data {DATA}",
        "timestep": "0.0005",
        "model": model_file,
        "elements": "H O",
        "integrate": "nvt temp 300.0 300.0 0.05",
        "steps": 20,
        "commands": "",
    }
    values.update(changes)
    return SCRIPT.format(**values, every=max(values["steps"], 1))


def thermo(output):
    """Numbers of the thermo output, one row a step."""
    lines = output.splitlines()
    start = next(k for k, line in enumerate(lines) if line.split()[:2] == ["Step", "Temp"])
    end = next(k for k, line in enumerate(lines) if line.startswith("Loop time"))
    return np.array([[float(x) for x in line.split()] for line in lines[start + 1 : end]])


def dumped(folder, step):
    return np.loadtxt(folder / f"dump.{step}.txt", skiprows=9)


def succeeded(result):
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return thermo(result.stdout)


def printed(output, name):
    """Numbers of the lines that a script prints as ``NAME numbers ...``, one row each."""
    rows = [line.split()[1:] for line in output.splitlines() if line.split()[:1] == [name]]
    return np.array(rows, dtype=float)
