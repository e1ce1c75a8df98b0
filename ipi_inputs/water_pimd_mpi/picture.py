"""Draw kinetic and conserved energy: python picture.py, after a run, in its folder.

Reads simulation.out, writes picture.png.
"""

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

_, time, conserved, _, potential, kinetic, _ = np.loadtxt("simulation.out").T
figure, (left, right) = plt.subplots(1, 2, figsize=(7.0, 2.6), layout="constrained")
left.plot(1e3 * time, 1e3 * kinetic / 192)
left.axhline(38.8, color="gray", ls="--", label="classical, 300 K")
left.set(xlabel="time, fs", ylabel="kinetic energy, meV/atom")
left.legend(fontsize=8)
right.plot(1e3 * time, potential - potential[0], label="potential")
right.plot(1e3 * time, conserved - conserved[0], label="conserved")
right.set(xlabel="time, fs", ylabel="energy - first, eV")
right.legend(fontsize=8)
figure.savefig("picture.png", dpi=90)
