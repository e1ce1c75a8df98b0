"""Run longer dynamics with the model `water`: structure of the liquid, and energy drift.

python benchmarks/water_dynamics.py [--nvt-steps 10000] [--nve-steps 2000]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
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
    lines, start = [], None
    if options.nvt_steps:
        lines += nvt(options.output / "nvt", options.nvt_steps)
        start = options.output / "nvt" / "final.data"
    if options.nve_steps:
        for dtype in ("float64", "float32"):
            folder = options.output / f"nve_{dtype}"
            lines.append(nve(folder, options.nve_steps, dtype, start))
    print("\n" + "\n".join(lines))


def nvt(folder: Path, steps: int) -> list[str]:
    """Measure structure and stability at 300 K; averages leave out the first tenth."""
    thermo = run_lammps(folder, "nvt", steps, "float32", every=50)
    frames = read_dump(folder / "water.lammpstrj")
    r, g = pair_distribution(frames[len(frames) // 10 :], "OO", bins=80)
    near = (r > 2.3) & (r < 3.5)
    peak = np.argmax(np.where(near, g, 0.0))
    whole = sum(molecules_are_whole(frame) for frame in frames)
    settled = thermo["Temp"][len(thermo["Temp"]) // 10 :]
    picoseconds = steps * NANOSECONDS_PER_STEP * 1e3
    return [
        f"NVT {picoseconds:g} ps, float32, 2 ranks, {thermo['ms_per_step']:.0f} ms/step",
        f"  temperature {settled.mean():.1f} +- {settled.std():.1f} K",
        f"  frames in which every molecule is whole: {whole} of {len(frames)}",
        f"  first O-O peak at {r[peak]:.2f} angstrom, height {g[peak]:.2f}",
    ]


def nve(folder: Path, steps: int, dtype: str, start: Path | None) -> str:
    """Measure the energy drift by a linear fit, and the range of the total energy.

    :param start: last structure of the NVT run; None: the structure of the example
    """
    thermo = run_lammps(folder, "nve", steps, dtype, every=steps, data=start)
    spread = 1e3 * float(np.ptp(thermo["TotEng"]))
    return (
        f"NVE {steps * 0.5:g} fs, {dtype}: drift {drift_per_ns(thermo):+.2f} meV/atom/ns, "
        f"range of the total energy {spread / N_ATOMS:.3f} meV/atom, "
        f"{thermo['ms_per_step']:.0f} ms/step"
    )


if __name__ == "__main__":
    main()
