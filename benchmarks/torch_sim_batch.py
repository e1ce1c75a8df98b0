"""Time one batch of boxes in TorchSim against the same boxes one after another.

python benchmarks/torch_sim_batch.py [--device cpu] [--threads 1] [--pairs 7]

Needs TorchSim (`make engines`: .venv-engines/bin/python). 64 boxes of 8 molecules of water, and 8
boxes of 64 molecules; model `water`, float32, Langevin dynamics at 300 K with a time step of 0.5
fs. A step of all boxes in one state and a step of each box in a state of its own take turns in one
process; each pair gives a ratio, one after another over batch, of wall-clock time and of CPU time,
which is less disturbed by other programs on the machine. Prints medians and quartiles, and writes
benchmarks/results/torch_sim.json, or torch_sim_cuda.json.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import torch
import torch_sim as ts
from ase import Atoms
from results_file import write_results

from pet_driver.engines.torch_sim import PETModel
from pet_driver.runtime.progress import Progress

ROOT = Path(__file__).resolve().parent.parent
# Starting structure and number of boxes.
CASES = {
    "64 boxes of 8 molecules": (ROOT / "docs/examples/torch_sim_water/start.xyz", 64),
    "8 boxes of 64 molecules": (ROOT / "ipi_inputs/water_pimd/init.xyz", 8),
}
TEMPERATURE = 300.0  # K
TIME_STEP = 0.5e-3  # ps
WARM_UP = 2  # steps that are not counted
UNITS = ts.units.MetalUnits


class Dynamics:
    """Langevin dynamics of a state.

    :param boxes: start, the same for all
    """

    def __init__(self, boxes: list[Atoms], model: PETModel) -> None:
        self.model = model
        self.kt = self._number(TEMPERATURE * UNITS.temperature)
        self.dt = self._number(TIME_STEP * UNITS.time)
        state = ts.initialize_state(boxes, model.device, model.dtype)
        state.rng = 0
        self.state = ts.nvt_langevin_init(state=state, model=model, kT=self.kt)

    def step(self) -> None:
        """One time step."""
        self.state = ts.nvt_langevin_step(
            state=self.state, model=self.model, dt=self.dt, kT=self.kt
        )

    def _number(self, value: float) -> torch.Tensor:
        return torch.tensor(value, device=self.model.device, dtype=self.model.dtype)


def main() -> None:
    """Measure both sizes of boxes, print a table and write the JSON file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default: 1)")
    parser.add_argument("--pairs", type=int, default=7, help="pairs of steps (default: 7)")
    options = parser.parse_args()
    if options.pairs < 2:
        parser.error("quartiles need at least two pairs of steps; give more --pairs")
    torch.set_num_threads(options.threads)
    model = PETModel("water", device=options.device)
    cases = {}
    with Progress("pairs of steps", options.pairs * len(CASES)) as progress:
        for name, (path, n_boxes) in CASES.items():
            boxes = [ase.io.read(path)] * n_boxes
            cases[name] = measure(
                boxes, model, options.pairs, lambda name=name: progress.advance(name)
            )
    print_table(cases)
    content = {
        "torch_sim": importlib.metadata.version("torch-sim-atomistic"),
        "device": device_name(model.device),
        "threads": options.threads,
        "cases": cases,
    }
    suffix = "_cuda" if model.device.type == "cuda" else ""
    print(f"\nwritten: {write_results(f'torch_sim{suffix}', content)}")


def measure(
    boxes: list[Atoms], model: PETModel, pairs: int, advance: Callable[[], object]
) -> dict[str, Any]:
    """Steps of all boxes together and one after another, in turn.

    :return: medians in ms for one step of all boxes, and median and quartiles of the ratios
    """
    batch = Dynamics(boxes, model)
    singles = [Dynamics([box], model) for box in boxes]
    found: dict[str, list[tuple[float, float]]] = {"batch": [], "alone": []}
    for k in range(WARM_UP + pairs):
        pair = timed(model.device, [batch]), timed(model.device, singles)
        if k >= WARM_UP:
            found["batch"].append(pair[0])
            found["alone"].append(pair[1])
            advance()
    result: dict[str, Any] = {
        "boxes": len(boxes),
        "atoms_per_box": len(boxes[0]),
        "pairs": pairs,
        "batch_ms": round(1e3 * statistics.median(wall for wall, _ in found["batch"]), 1),
        "one_after_another_ms": round(
            1e3 * statistics.median(wall for wall, _ in found["alone"]), 1
        ),
    }
    for column, name in enumerate(("wall", "cpu")):
        ratios = [
            alone[column] / both[column]
            for alone, both in zip(found["alone"], found["batch"], strict=True)
        ]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        result[f"{name}_ratio"] = round(middle, 2)
        result[f"{name}_ratio_quartiles"] = [round(low, 2), round(high, 2)]
    return result


def timed(device: torch.device, dynamics: list[Dynamics]) -> tuple[float, float]:
    """Wall-clock time and CPU time of one step of each, s."""
    synchronize(device)
    wall, cpu = time.perf_counter(), time.process_time()
    for one in dynamics:
        one.step()
    synchronize(device)
    return time.perf_counter() - wall, time.process_time() - cpu


def print_table(cases: dict[str, dict[str, Any]]) -> None:
    """Medians and ratios with their quartiles."""
    print("\n| | batch, ms | one after another, ms | ratio | quartiles | CPU time | quartiles |")
    print("|---|---|---|---|---|---|---|")
    for name, row in cases.items():
        cells = [name, f"{row['batch_ms']}", f"{row['one_after_another_ms']}"]
        for kind in ("wall", "cpu"):
            low, high = row[f"{kind}_ratio_quartiles"]
            cells += [f"{row[f'{kind}_ratio']}", f"{low} to {high}"]
        print(f"| {' | '.join(cells)} |")


def synchronize(device: torch.device) -> None:
    """Wait for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def device_name(device: torch.device) -> str:
    """Model of the GPU, or cpu."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


if __name__ == "__main__":
    main()
