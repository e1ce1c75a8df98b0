"""Many boxes of water at 300 K, in one batch of TorchSim.

python run.py [--boxes 64] [--steps 300] [--device cpu] [--plot temperature.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ase.io
import numpy as np
import torch
import torch_sim as ts
from tqdm import trange

from pet_driver.engines.torch_sim import PETModel

START = Path(__file__).with_name("start.xyz")
TEMPERATURE = 300.0  # K
TIME_STEP = 0.5e-3  # ps
FRICTION = 20.0  # 1/ps, strong, as the start comes from another model
UNITS = ts.units.MetalUnits  # eV, angstrom, atomic mass units, and the time that belongs to them


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boxes", type=int, default=64, help="number of boxes")
    parser.add_argument("--steps", type=int, default=300, help="number of time steps, of 0.5 fs")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a picture")
    options = parser.parse_args()
    temperatures = simulate(options.boxes, options.steps, options.device)
    last = temperatures[len(temperatures) // 2 :]
    print(f"mean temperature of the second half: {last.mean():.0f} K")
    print(f"spread over boxes and steps: {last.std():.0f} K")
    if options.plot:
        plot(temperatures, options.plot)


def simulate(n_boxes: int, n_steps: int, device: str) -> np.ndarray:
    """Temperatures after each step, (n_steps, n_boxes), K."""
    model = PETModel("water", device=device)
    boxes = [ase.io.read(START)] * n_boxes
    state = ts.initialize_state(boxes, model.device, model.dtype)
    state.rng = 0
    # Velocities are drawn for each box on its own.
    kt = torch.tensor(TEMPERATURE * UNITS.temperature, device=model.device, dtype=model.dtype)
    dt = torch.tensor(TIME_STEP * UNITS.time, device=model.device, dtype=model.dtype)
    gamma = torch.tensor(FRICTION / UNITS.time, device=model.device, dtype=model.dtype)
    state = ts.nvt_langevin_init(state=state, model=model, kT=kt)
    temperatures = []
    for _ in trange(n_steps, desc=f"steps of {n_boxes} boxes"):
        state = ts.nvt_langevin_step(state=state, model=model, dt=dt, kT=kt, gamma=gamma)
        temperatures.append(state.calc_temperature().cpu().numpy())
    return np.array(temperatures)


def plot(temperatures: np.ndarray, path: Path) -> None:
    """Draw the mean temperature of the boxes, and between which values most of them are."""
    import matplotlib.pyplot as plt

    times = TIME_STEP * (1 + np.arange(len(temperatures)))
    figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
    low, high = np.quantile(temperatures, [0.1, 0.9], axis=1)
    axes.fill_between(times, low, high, color="0.85", label="8 of 10 boxes")
    axes.plot(times, temperatures.mean(axis=1), label=f"mean of {temperatures.shape[1]} boxes")
    axes.axhline(TEMPERATURE, color="black", linewidth=0.5)
    axes.set(xlabel="time, ps", ylabel="temperature, K")
    axes.legend()
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
