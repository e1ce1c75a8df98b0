"""Correct the forces of scope layer to those of scope atom by multiple time stepping in i-PI.

python benchmarks/symmetrized_mts.py PLAIN SYMMETRIZED [--steps 2000] [--every 16]

32 molecules of water. SYMMETRIZED in scope layer gives the fast forces at every 0.5 fs, PLAIN in
scope atom minus SYMMETRIZED the slow ones every --every steps. The same times with scope layer
alone and, for a tenth of them, with scope atom at every step. Prints averages with their errors,
the drift of the conserved quantity and the time per 0.5 fs, and writes
results/symmetrized_mts.json.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ipi_dynamics import AVERAGES, PROPERTIES, SOCKET, STEP, SVR, TRAJECTORIES, geometry, with_error
from ipi_job import BIN, SKELETON, Job
from make_water_box import length, thermal_water
from results_file import write_results

SIDES = (4, 4, 2)
SHORTER = 10  # the run with scope atom at every step is that much shorter


def main() -> None:
    """Run the three simulations."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("plain")
    parser.add_argument("symmetrized")
    parser.add_argument("--steps", type=int, default=2000, help="of 0.5 fs")
    parser.add_argument("--every", type=int, default=16)
    chosen = parser.parse_args()
    cell = [length(n) for n in SIDES]
    atoms = Atoms("OHH" * int(np.prod(SIDES)), thermal_water(SIDES, 10.0), cell=cell, pbc=True)
    layer, atom = (chosen.symmetrized, "layer"), (chosen.plain, "atom")
    rows = []
    for name, fields, multiple, steps in (
        ("layer at every step", {"layer": layer}, 1, chosen.steps),
        (
            f"atom minus layer every {chosen.every} steps",
            {"layer": layer, "atom": atom, "minus": layer},
            chosen.every,
            chosen.steps,
        ),
        ("atom at every step", {"atom": atom}, 1, max(chosen.steps // SHORTER, 10)),
    ):
        rows.append({"forces": name, **simulation(atoms, fields, multiple, steps)})
        print(rows[-1], flush=True)
    content = {"atoms": len(atoms), "every": chosen.every, "runs": rows}
    print(f"wrote {write_results('symmetrized_mts', content)}")


def simulation(
    atoms: Atoms, fields: dict[str, tuple[str, str]], multiple: int, steps: int
) -> dict[str, object]:
    """Averages, drift and time of one simulation.

    :param fields: model and scope by name; "atom" and "minus" are slow where there are several
    """
    forces = "".join(force(name, len(fields) > 1) for name in fields)
    text = SKELETON.format(
        properties=PROPERTIES,
        steps=steps // multiple,
        beads=1,
        fields="".join(SOCKET.format(name=name, mode="unix", batch="") for name in fields),
        forces=forces,
        trajectories=TRAJECTORIES.format(stride=1),
        ensemble="nvt",
        timestep=STEP * multiple,
        nmts=f"<nmts> [1,{multiple}] </nmts>" if multiple > 1 else "",
        thermostat=SVR,
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        atoms.write(folder / "template.xyz", format="extxyz")
        job = Job(folder, atoms, text, steps // multiple)
        outcome = job.run("unix", ["sh", "-c", drivers(fields)])
        table = np.loadtxt(folder / "simulation.out")
        frames = np.array(
            [x.positions for x in ase.io.read(folder / "simulation.pos_0.xyz", ":", format="xyz")]
        )
    kept = slice(len(table) // 5, None)
    kinetic = 1e3 * table[:, 3] / len(atoms)
    columns = [kinetic, *geometry(frames, atoms.cell.lengths())]
    slope = np.polyfit(table[kept, 1], table[kept, 2], 1)[0] / len(atoms)
    return {
        "steps of 0.5 fs": steps,
        **{name: with_error(x[len(x) // 5 :]) for name, x in zip(AVERAGES, columns, strict=True)},
        "drift of the conserved quantity, meV/atom/ns": 1e6 * float(slope),
        "ms per 0.5 fs": 1e3 * outcome.seconds_per_step / multiple,
    }


def force(name: str, several: bool) -> str:
    """Element of i-PI's input: fast or slow, added or subtracted."""
    if not several:
        return f"<force forcefield='{name}'/>"
    sign = " weight='-1.0'" if name == "minus" else ""
    when = "[0,1]" if name == "layer" else "[1,0]"
    return f"<force forcefield='{name}'{sign}> <mts_weights> {when} </mts_weights> </force>"


def drivers(fields: dict[str, tuple[str, str]]) -> str:
    """Shell command that runs one driver for each name and waits for all."""
    commands = [
        f"{BIN / 'pet-driver'} ipi {Path(model).resolve() if Path(model).exists() else model} "
        f"--scope {scope} --template template.xyz --unix {{address}}{name}"
        for name, (model, scope) in fields.items()
    ]
    return " & ".join(commands) + " & wait"


if __name__ == "__main__":
    main()
