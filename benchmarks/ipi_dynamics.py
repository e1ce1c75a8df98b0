"""Conservation and speed in i-PI.

Path integrals in one batch through shared memory; and multiple time stepping with the symmetry
correction every 8 steps, against exact forces at every step.

python benchmarks/ipi_dynamics.py [pimd] [molecule] [liquid] [--steps 500]

pimd: 64 molecules, 4 beads, model `water`; the drift of the conserved quantity.
molecule: a free molecule, model `water_plain` (trained without frames) in scope atom; the change of
its angular momentum with plain PET, exact forces, and multiple time steps.
liquid: 32 molecules, likewise; kinetic energies, distances with their errors, and speed.

Prints tables and writes results/ipi_dynamics.json; studies that are not run keep their results.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np
import numpy.typing as npt
from ase import Atoms
from ipi_job import BIN, SKELETON, Job
from make_water_box import length, thermal_water
from results_file import RESULTS, write_results

ROOT = Path(__file__).resolve().parent.parent
Floats = npt.NDArray[np.float64]
STEP = 0.5  # fs
MULTIPLE = 8
SOCKET = """<ffsocket name='{name}' mode='{mode}' pbc='False'> <address> {{address}}{name}
    </address> {batch} <latency> 1e-3 </latency> </ffsocket>"""
PROPERTIES = "step, time{{picosecond}}, conserved{{electronvolt}}, kinetic_md{{electronvolt}}"
TRAJECTORIES = """<trajectory filename='pos' stride='{stride}' format='xyz'>
      positions{{{{angstrom}}}} </trajectory>
    <trajectory filename='vel' stride='{stride}' format='xyz'> velocities </trajectory>"""
SVR = "<thermostat mode='svr'> <tau units='femtosecond'> 50 </tau> </thermostat>"
PILE = "<thermostat mode='pile_g'> <tau units='femtosecond'> 100 </tau> </thermostat>"


@dataclass
class Run:
    """What a simulation has written.

    :param table: lines of simulation.out
    :param frames: (n, n_atoms, 3), positions, angstrom
    :param velocities: (n, n_atoms, 3), atomic units
    :param seconds: per plain step of `STEP`
    """

    table: Floats
    frames: Floats
    velocities: Floats
    seconds: float


def main() -> None:
    """Run the studies that are named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    studies = {"pimd": pimd, "molecule": molecule, "liquid": liquid}
    parser.add_argument("studies", nargs="*", help="default: all")
    parser.add_argument("--steps", type=int, default=None, help="of the exact runs")
    options = parser.parse_args()
    path = RESULTS / "ipi_dynamics.json"
    before = json.loads(path.read_text()) if path.is_file() else {}
    results = {name: before[name] for name in studies if name in before}
    for name in options.studies or studies:
        print(f"\n{name}", flush=True)
        results[name] = studies[name](options.steps)
        print(f"wrote {write_results('ipi_dynamics', results)}")


def pimd(steps: int | None) -> dict[str, object]:
    """Print and return the drift of the conserved quantity of path-integral dynamics."""
    steps = steps or 500
    atoms = ase.io.read(ROOT / "ipi_inputs" / "water_pimd" / "init.xyz")
    assert isinstance(atoms, Atoms)
    fields = SOCKET.format(name="a", mode="shm", batch="<batch_size> 4 </batch_size>")
    text = SKELETON.format(
        properties=PROPERTIES,
        steps=steps,
        beads=4,
        fields=fields,
        forces="<force forcefield='a'/>",
        trajectories="",
        ensemble="nvt",
        timestep=0.25,
        nmts="",
        thermostat=PILE,
    )
    driver: list[str | Path] = [BIN / "pet-driver", "ipi", "water", "--template", "init.xyz"]
    driver += ["--shm", "{address}a"]
    with tempfile.TemporaryDirectory() as scratch:
        job = Job(Path(scratch), atoms, text, steps)
        outcome = job.run("shm", driver)
        table = np.loadtxt(Path(scratch) / "simulation.out")
    half = table[len(table) // 5 :]
    slope = np.polyfit(half[:, 1], half[:, 2], 1)[0] / len(atoms)
    print(
        f"{steps} steps of 0.25 fs, 4 beads, {len(atoms)} atoms, one batch through shm: drift "
        f"{1e6 * slope:+.0f} meV/atom/ns per ring polymer, conserved within "
        f"{1e3 * np.ptp(half[:, 2]) / len(atoms):.2f} meV/atom, "
        f"{1e3 * outcome.seconds_per_step:.0f} ms/step"
    )
    return {
        "steps of 0.25 fs": steps,
        "beads": 4,
        "atoms": len(atoms),
        "drift, meV/atom/ns per ring polymer": 1e6 * float(slope),
        "conserved within, meV/atom": 1e3 * float(np.ptp(half[:, 2])) / len(atoms),
        "ms/step": 1e3 * outcome.seconds_per_step,
    }


def molecule(steps: int | None) -> list[dict[str, object]]:
    """Print and return the change of the angular momentum of a free molecule."""
    steps = steps or 4000
    atoms = Atoms("OHH", [[0, 0, 0], [0.76, 0.59, 0], [-0.76, 0.59, 0]], cell=[20.0] * 3)
    print(f"one water molecule, {steps * STEP / 1000:g} ps\n")
    print("| forces | largest change of angular momentum | drift of the energy, meV/ps |")
    print("|---|---|---|")
    rows: list[dict[str, object]] = []
    for kind in ("plain", "exact", "multiple"):
        run = dynamics(atoms, kind, steps, "nve", "", stride=MULTIPLE if kind != "multiple" else 1)
        momenta = angular_momenta(atoms, run)
        change = np.linalg.norm(momenta - momenta[0], axis=1).max() / np.linalg.norm(momenta[0])
        slope = np.polyfit(run.table[:, 1], run.table[:, 2], 1)[0]
        print(f"| {NAMES[kind]} | {change:.1e} | {1e3 * slope:+.2f} |", flush=True)
        rows.append(
            {
                "forces": NAMES[kind],
                "steps of 0.5 fs": steps,
                "largest change of angular momentum": float(change),
                "drift of the energy, meV/ps": 1e3 * float(slope),
            }
        )
    return rows


def liquid(steps: int | None) -> list[dict[str, object]]:
    """Print and return averages over a liquid with their errors, and the time per step."""
    steps = steps or 2400
    sides = (4, 4, 2)
    cell = [length(n) for n in sides]
    atoms = Atoms("OHH" * 32, thermal_water(sides, 10.0), cell=cell, pbc=True)
    print(f"32 molecules, {steps * STEP / 1000:g} ps, the first fifth left out\n")
    print(
        "| forces | kinetic energy, meV/atom | O-H, angstrom | H-O-H | nearest O-O | ms per 0.5 "
        "fs |"
    )
    print("|---|---|---|---|---|---|")
    seconds: dict[str, float] = {}
    rows: list[dict[str, object]] = []
    for kind in ("plain", "exact", "multiple"):
        run = dynamics(atoms, kind, steps, "nvt", SVR, stride=MULTIPLE if kind != "multiple" else 1)
        kinetic = 1e3 * run.table[:, 3] / len(atoms)
        columns = [kinetic, *geometry(run.frames, np.array(cell))]
        cells = [with_error(x[len(x) // 5 :]) for x in columns]
        seconds[kind] = run.seconds
        print(f"| {NAMES[kind]} | {' | '.join(cells)} | {1e3 * run.seconds:.0f} |", flush=True)
        found = dict(zip(AVERAGES, cells, strict=True))
        rows.append({"forces": NAMES[kind], "steps of 0.5 fs": steps, **found})
        rows[-1]["ms per 0.5 fs"] = 1e3 * run.seconds
    print(
        f"\nexact over multiple: {seconds['exact'] / seconds['multiple']:.1f}; multiple over "
        "plain: "
        f"{seconds['multiple'] / seconds['plain']:.1f}"
    )
    return rows


AVERAGES = ("kinetic energy, meV/atom", "O-H, angstrom", "H-O-H, degrees", "nearest O-O, angstrom")
NAMES = {
    "plain": "plain",
    "exact": "exact at every step",
    "multiple": f"correction every {MULTIPLE} steps",
}


def dynamics(
    atoms: Atoms, kind: str, steps: int, ensemble: str, thermostat: str, stride: int
) -> Run:
    """Run one simulation with the model `water_plain`.

    :param kind: "plain", "exact", or "multiple": plain at every step, the correction rarely
    :param steps: number of steps of `STEP`
    :param ensemble: "nve" or "nvt"
    :param thermostat: element of i-PI's input, "" for none
    :param stride: steps of i-PI between frames that are written
    """
    multiple = kind == "multiple"
    names = ["plain", "difference"] if multiple else ["plain" if kind == "plain" else "ecse"]
    forces = [f"<force forcefield='{name}'/>" for name in names]
    if multiple:
        weights = ("[0,1]", "[1,0]")
        forces = [
            f"<force forcefield='{name}'> <mts_weights> {weight} </mts_weights> </force>"
            for name, weight in zip(names, weights, strict=True)
        ]
    longest = MULTIPLE if multiple else 1
    text = SKELETON.format(
        properties=PROPERTIES,
        steps=steps // longest,
        beads=1,
        fields="".join(SOCKET.format(name=name, mode="unix", batch="") for name in names),
        forces="".join(forces),
        trajectories=TRAJECTORIES.format(stride=stride),
        ensemble=ensemble,
        timestep=STEP * longest,
        nmts=f"<nmts> [1,{MULTIPLE}] </nmts>" if multiple else "",
        thermostat=thermostat,
    )
    driver: list[str | Path] = [BIN / "pet-driver", "ipi", "water_plain", "--scope", "atom"]
    driver += ["--template", "template.xyz"]
    for name in names:
        driver += ["--unix", "{address}" + name, "--output", name]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        atoms.write(folder / "template.xyz", format="extxyz")
        outcome = Job(folder, atoms, text, steps // longest).run("unix", driver)
        table = np.loadtxt(folder / "simulation.out")
        frames, velocities = (
            np.array([x.positions for x in ase.io.read(folder / name, ":", format="xyz")])
            for name in ("simulation.pos_0.xyz", "simulation.vel_0.xyz")
        )
    return Run(table, frames, velocities, outcome.seconds_per_step / longest)


def angular_momenta(atoms: Atoms, run: Run) -> Floats:
    """Angular momentum about the centre of mass, (n, 3), in any unit."""
    masses = atoms.get_masses()[:, None]
    centred = run.frames - (masses * run.frames).sum(axis=1, keepdims=True) / masses.sum()
    momenta: Floats = np.cross(centred, masses * run.velocities).sum(axis=1)
    return momenta


def geometry(frames: Floats, cell: Floats) -> list[Floats]:
    """Averages over each frame: O-H distance, H-O-H angle in degrees, nearest O-O distance.

    :param cell: (3,), edges of the box, angstrom
    :return: (n,) each
    """
    molecules = frames.reshape(len(frames), -1, 3, 3)
    bonds = molecules[:, :, 1:] - molecules[:, :, :1]
    bonds -= cell * np.round(bonds / cell)
    lengths = np.linalg.norm(bonds, axis=-1)
    cosines = (bonds[:, :, 0] * bonds[:, :, 1]).sum(axis=-1) / lengths.prod(axis=-1)
    oxygens = molecules[:, :, None, 0] - molecules[:, None, :, 0]
    oxygens -= cell * np.round(oxygens / cell)
    apart = np.linalg.norm(oxygens, axis=-1)
    nearest = np.sort(apart, axis=-1)[:, :, 1]
    return [
        lengths.mean(axis=(1, 2)),
        np.degrees(np.arccos(cosines)).mean(axis=1),
        nearest.mean(axis=1),
    ]


def with_error(series: Floats, blocks: int = 6) -> str:
    """Mean and its standard error from blocks, as text."""
    means = [block.mean() for block in np.array_split(series, blocks)]
    return f"{series.mean():.4g} ± {np.std(means, ddof=1) / np.sqrt(blocks):.2g}"


if __name__ == "__main__":
    main()
