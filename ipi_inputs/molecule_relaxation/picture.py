"""Draw energy and largest force: python picture.py, after a run, in its folder.

Reads simulation.out and simulation.frc_0.xyz, writes picture.png.
"""

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

step, potential = np.loadtxt("simulation.out").T
lines = [line.split() for line in Path("simulation.frc_0.xyz").read_text().splitlines()]
rows = [words[1:] for words in lines if len(words) == 4 and words[0] in ("O", "H")]
forces = np.linalg.norm(np.array(rows, dtype=float).reshape(-1, 3, 3), axis=-1).max(1)
figure, (left, right) = plt.subplots(1, 2, figsize=(7.0, 2.6), layout="constrained")
above = potential - potential[-1]
left.semilogy(step[above > 1e-8], above[above > 1e-8], ".-")
left.set(xlabel="step", ylabel="energy - last, eV")
right.semilogy(step[: len(forces)], forces, ".-")
right.set(xlabel="step", ylabel="largest force, eV/Å")
figure.savefig("picture.png", dpi=90)
