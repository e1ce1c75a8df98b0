"""Run long dynamics at constant energy in LAMMPS on two ranks, with a restart in the middle.

python benchmarks/long_dynamics.py water|silicon [--picoseconds 50] [--model MODEL]
    [--dtype float64 float32] [--device cpu] [--output FOLDER]

192 atoms of water with a time step of 0.5 fs, or 216 of silicon with 1 fs, after 1 ps with a
thermostat at 300 K. The second half starts from a restart file of the first. Prints the slope of
the total energy by a linear fit over the whole run with its standard error, from the means of
blocks, and the largest distance of the energy from the line; writes
results/long_dynamics_CASE.json after each run.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from energy_fit import fitted
from lammps_example import ROOT, run_script
from results_file import write_results

EVERY = 20  # steps between energies
# Atoms of a crystal at rest take up half of the kinetic energy.
WATER = f"""read_data {ROOT / "lammps_examples" / "water_nvt" / "water.data"}
velocity all create 300.0 4928459 mom yes rot no dist gaussian loop all"""
SILICON = """lattice diamond 5.469
region box block 0 3 0 3 0 3
create_box 1 box
create_atoms 1 box
mass 1 28.0855
velocity all create 600.0 4928459 mom yes rot no dist gaussian loop all"""
START = """units metal
atom_style atomic
atom_modify map yes
boundary p p p
{atoms}
timestep {step}
pair_style pet {model} dtype {dtype} device {device}
pair_coeff * * {elements}
fix thermostat all langevin 300.0 300.0 0.1 4928459
fix integrate all nve
run {settle}
unfix thermostat
reset_timestep 0
thermo {every}
thermo_style custom step temp pe etotal
thermo_modify format float %.15g
run {steps}
write_restart half.restart
"""
GO_ON = """read_restart half.restart
timestep {step}
pair_style pet {model} dtype {dtype} device {device}
pair_coeff * * {elements}
fix integrate all nve
thermo {every}
thermo_style custom step temp pe etotal
thermo_modify format float %.15g
run {steps}
"""


@dataclass(frozen=True)
class Case:
    """How the atoms are made, their number, their types, and the time step, ps."""

    atoms: str
    count: int
    elements: str
    step: float


CASES = {"water": Case(WATER, 192, "H O", 0.0005), "silicon": Case(SILICON, 216, "Si", 0.001)}


def main() -> None:
    """Run with each dtype and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("case", choices=tuple(CASES))
    parser.add_argument("--picoseconds", type=float, default=50.0)
    parser.add_argument("--model", help="default: the shipped one")
    parser.add_argument("--dtype", nargs="+", default=["float64", "float32"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, default=Path("long_dynamics"))
    chosen = parser.parse_args()
    case, model = CASES[chosen.case], chosen.model or chosen.case
    found = {}
    for dtype in chosen.dtype:
        values = {"model": model, "dtype": dtype, "device": chosen.device}
        folder = chosen.output / f"{chosen.case}_{dtype}"
        found[dtype] = run(case, values, chosen.picoseconds, folder)
        print(dtype, found[dtype], flush=True)
        content = {"model": model, "atoms": case.count, "ps": chosen.picoseconds, "runs": found}
        write_results(f"long_dynamics_{chosen.case}", content)


def run(case: Case, values: dict[str, str], picoseconds: float, folder: Path) -> dict[str, float]:
    """Run both halves in a folder, and fit a line to the energies."""
    steps = round(picoseconds / case.step / 2)
    settle = round(1.0 / case.step) if picoseconds >= 1.0 else 10
    values = {
        **values,
        "atoms": case.atoms,
        "elements": case.elements,
        "step": str(case.step),
        "steps": str(steps),
        "settle": str(settle),
        "every": str(EVERY),
    }
    folder.mkdir(parents=True, exist_ok=True)
    halves = []
    for name, text in (("start.lmp", START), ("go_on.lmp", GO_ON)):
        (folder / name).write_text(text.format(**values))
        halves.append(run_script(folder / name, folder, {}))
    first, second = halves
    # The second half begins with the energy that the first one ended with.
    energies = np.concatenate([first["TotEng"], second["TotEng"][1:]])
    kelvin = np.concatenate([first["Temp"], second["Temp"][1:]])
    femtoseconds = 1e3 * case.step * EVERY
    line = fitted(energies, case.count, femtoseconds)
    jump = 1e3 * abs(float(second["TotEng"][0] - first["TotEng"][-1])) / case.count
    return {
        "slope, meV/atom/ps": line.slope,
        "its standard error": line.slope_error,
        "farthest from the line, meV/atom": line.farthest,
        "jump at the restart, meV/atom": jump,
        "temperature, K": float(kelvin.mean()),
        "ms/step": float(first["ms_per_step"]),
    }


if __name__ == "__main__":
    main()
