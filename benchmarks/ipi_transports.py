"""Cost of i-PI beside the model.

Time per step by transport, with our client and with i-PI's own Python driver that loads the same
model, beside the model alone.

python benchmarks/ipi_transports.py [--molecules 8 64 343] [--beads 1 16] [--steps 10]

Float32, model `water`. Runs that are compared follow each other; the figures are of one run each.
Prints a table and writes results/ipi.json.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from ase import Atoms
from ipi_job import BIN, Job, nve_input
from make_water_box import length, thermal_water
from results_file import write_results

from pet_driver import load_model
from pet_driver.engines.ipi import ipi_pes_path
from pet_driver.runtime.progress import Progress

FIELDS = {
    "unix": "<ffsocket name='pet' mode='unix' pbc='False'> <address> {{address}} </address> {batch}"
    " <latency> 1e-3 </latency> </ffsocket>",
    "shm": "<ffsocket name='pet' mode='shm' pbc='False'> <address> {{address}} </address> {batch}"
    " <latency> 1e-3 </latency> </ffsocket>",
    "inet": "<ffsocket name='pet' mode='inet' pbc='False'> <address> 127.0.0.1 </address> <port>"
    " {{port}} </port> {batch} <latency> 1e-3 </latency> </ffsocket>",
    "mpi": "<ffmpi name='pet'> {batch} <latency> 1e-3 </latency> </ffmpi>",
    "direct": "<ffdirect name='pet'> <pes> custom </pes> <pes_path> {path} </pes_path> {batch}"
    " <parameters> {{{{ template: init.xyz, model: water }}}} </parameters> </ffdirect>",
}


@dataclass(frozen=True)
class Case:
    """One way of running i-PI.

    :param driver: "ours" or "i-PI's"
    :param mode: transport, a key of `FIELDS`
    :param batched: whether all beads go in one request
    """

    driver: str
    mode: str
    batched: bool


def main() -> None:
    """Run all cases and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--molecules", type=int, nargs="+", default=[64], help="cubes: 8, 64, 343")
    parser.add_argument("--beads", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--modes", nargs="+", default=list(FIELDS), choices=list(FIELDS))
    options = parser.parse_args()
    rows = []
    total = sum(len(cases(options.modes, beads)) for beads in options.beads)
    with Progress("runs", total * len(options.molecules)) as progress:
        for molecules in options.molecules:
            atoms = water(molecules)
            for beads in options.beads:
                alone = model_alone(atoms, beads)
                for case in cases(options.modes, beads):
                    seconds, in_model = run(atoms, beads, options.steps, case)
                    beside = alone[case.batched and beads > 1]
                    rows.append(row(len(atoms), beads, case, (seconds, beside, in_model)))
                    progress.advance(f"{case.mode}, {case.driver}")
    print(
        "\n| atoms | beads | transport | batched | driver | ms/step | the model alone, ms | not "
        "in the model, ms |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for found in rows:
        cells = (
            "-" if x is None else f"{x:.1f}" if isinstance(x, float) else x for x in found.values()
        )
        print(f"| {' | '.join(map(str, cells))} |")
    print(f"wrote {write_results('ipi', {'model': 'water', 'steps': options.steps, 'rows': rows})}")


def row(
    n_atoms: int, beads: int, case: Case, times: tuple[float, float, float | None]
) -> dict[str, object]:
    """Row of the table.

    :param times: of a step, of the model alone and of the model in the step, seconds
    """
    seconds, alone, in_model = times
    return {
        "atoms": n_atoms,
        "beads": beads,
        "transport": case.mode,
        "batched": "yes" if case.batched else "no",
        "driver": case.driver,
        "ms/step": 1e3 * seconds,
        "the model alone, ms": 1e3 * alone,
        "not in the model, ms": None if in_model is None else 1e3 * (seconds - in_model),
    }


def cases(modes: list[str], beads: int) -> list[Case]:
    """All cases; those that are compared follow each other."""
    return [
        Case(driver, mode, batched)
        for mode in modes
        for batched in ((False, True) if beads > 1 else (False,))
        for driver in (("ours",) if mode == "direct" else ("ours", "i-PI's"))
    ]


def water(molecules: int) -> Atoms:
    """Liquid water in a cubic box; eight molecules as they are, without periodicity."""
    per_side = round(molecules ** (1 / 3))
    positions = thermal_water(max(per_side, 4), 2.0)[: 3 * molecules]
    side = length(max(per_side, 4))
    return Atoms("OHH" * molecules, positions, cell=[side] * 3, pbc=per_side >= 4)


def model_alone(atoms: Atoms, beads: int) -> tuple[float, float]:
    """Seconds for all beads, one after the other and in a batch."""
    # LAMMPS, which made the structure, has left one thread.
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    potential = load_model("water")
    copies = [atoms.copy() for _ in range(beads)]
    for seed, copy in enumerate(copies):
        copy.rattle(0.02, seed=seed)
    potential.compute(copies)
    found = []
    for work in (lambda: [potential.compute(x) for x in copies], lambda: potential.compute(copies)):
        started, times = time.perf_counter(), 0
        while times < 2 or time.perf_counter() - started < 1.0:
            work()
            times += 1
        found.append((time.perf_counter() - started) / times)
    return found[0], found[1]


def run(atoms: Atoms, beads: int, steps: int, case: Case) -> tuple[float, float | None]:
    """Seconds per step, and how many of them our client spent in the model."""
    batch = f"<batch_size> {beads} </batch_size>" if case.batched else ""
    field = FIELDS[case.mode].format(batch=batch, path=ipi_pes_path())
    with tempfile.TemporaryDirectory() as scratch:
        text = nve_input("step, conserved", field, beads, steps)
        outcome = Job(Path(scratch), atoms, text, steps).run(case.mode, command_of(case))
    found = re.search(r"\(([\d.]+) ms for each\)", outcome.printed)
    in_model = 1e-3 * beads * float(found[1]) if found else None
    return outcome.seconds_per_step, in_model


def command_of(case: Case) -> list[str | Path]:
    """Command of the driver, with {address} and {port} to be filled in."""
    where = {
        "unix": ["--unix", "{address}"],
        "shm": ["--shm", "{address}"],
        "inet": ["--host", "127.0.0.1", "--port", "{port}"],
        "mpi": ["--mpi"],
        "direct": [],
    }
    theirs = {
        "unix": ["-u", "-a", "{address}"],
        "shm": ["--shm", "-a", "{address}"],
        "inet": ["-a", "127.0.0.1", "-p", "{port}"],
        "mpi": ["--mpi"],
    }
    if case.driver == "ours":
        words = ["ipi", "water", "--template", "init.xyz", *where[case.mode]]
        return [BIN / "pet-driver", *words]
    words = ["-m", "custom", "-P", str(ipi_pes_path()), *theirs[case.mode]]
    return [BIN / "i-pi-py_driver", *words, "-o", "template=init.xyz,model=water"]


if __name__ == "__main__":
    main()
