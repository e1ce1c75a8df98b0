"""Run longer dynamics with the model `water`: structure of the liquid, and energy drift.

python benchmarks/water_dynamics.py [--nvt-steps 10000] [--nve-steps 2000]

Prints the results and writes them to results/water_dynamics.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from results_file import write_results
from trajectories import pair_distribution, read_dump
from water_example import (
    N_ATOMS,
    NANOSECONDS_PER_STEP,
    drift_per_ns,
    molecules_are_whole,
    run_lammps,
)


def main() -> None:
    """Run the dynamics and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nvt-steps", type=int, default=10_000)
    parser.add_argument("--nve-steps", type=int, default=2_000)
    parser.add_argument("--output", type=Path, default=Path("water_dynamics_output"))
    options = parser.parse_args()
    results: dict[str, object] = {"model": "water", "ranks": 2}
    start, drifts = None, []
    if options.nvt_steps:
        results["NVT, 300 K"] = nvt(options.output / "nvt", options.nvt_steps)
        start = options.output / "nvt" / "final.data"
    if options.nve_steps:
        for dtype in ("float64", "float32"):
            folder = options.output / f"nve_{dtype}"
            drifts.append(nve(folder, options.nve_steps, dtype, start))
        results["NVE"] = drifts
    print(json.dumps(results, indent=1))
    print(f"wrote {write_results('water_dynamics', results)}")


def nvt(folder: Path, steps: int) -> dict[str, object]:
    """Measure structure and stability at 300 K; averages leave out the first tenth."""
    thermo = run_lammps(folder, "nvt", steps, "float32", every=50)
    frames = read_dump(folder / "water.lammpstrj")
    r, g = pair_distribution(frames[len(frames) // 10 :], "OO", bins=80)
    near = (r > 2.3) & (r < 3.5)
    peak = np.argmax(np.where(near, g, 0.0))
    whole = sum(molecules_are_whole(frame) for frame in frames)
    settled = thermo["Temp"][len(thermo["Temp"]) // 10 :]
    return {
        "time, ps": steps * NANOSECONDS_PER_STEP * 1e3,
        "dtype": "float32",
        "ms/step": float(thermo["ms_per_step"]),
        "temperature, K": float(settled.mean()),
        "its fluctuation, K": float(settled.std()),
        "frames": len(frames),
        "frames in which every molecule is whole": whole,
        "first O-O peak, angstrom": float(r[peak]),
        "height of the first O-O peak": float(g[peak]),
    }


def nve(folder: Path, steps: int, dtype: str, start: Path | None) -> dict[str, object]:
    """Measure the energy drift by a linear fit, and the range of the total energy.

    :param start: last structure of the NVT run; None: the structure of the example
    """
    thermo = run_lammps(folder, "nve", steps, dtype, every=steps, data=start)
    spread = 1e3 * float(np.ptp(thermo["TotEng"]))
    return {
        "dtype": dtype,
        "time, ps": steps * NANOSECONDS_PER_STEP * 1e3,
        "drift, meV/atom/ns": float(drift_per_ns(thermo)),
        "range of the total energy, meV/atom": spread / N_ATOMS,
        "ms/step": float(thermo["ms_per_step"]),
    }


if __name__ == "__main__":
    main()
