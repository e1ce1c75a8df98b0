"""Draw temperature and energies: python picture.py, after a run, in its folder.

Reads simulation.out, writes picture.png.
"""

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

step, time, conserved, temperature, potential, _ = np.loadtxt("simulation.out").T
figure, (left, right) = plt.subplots(1, 2, figsize=(7.0, 2.6), layout="constrained")
left.plot(time, temperature)
left.set(xlabel="time, ps", ylabel="temperature, K")
right.plot(time, potential - potential[0], label="potential")
right.plot(time, conserved - conserved[0], label="conserved")
right.set(xlabel="time, ps", ylabel="energy - first, eV")
right.legend(fontsize=8)
figure.savefig("picture.png", dpi=90)
