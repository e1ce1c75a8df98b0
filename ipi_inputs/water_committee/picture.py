"""Draw energies and their uncertainty: python picture.py, after a run, in its folder.

Reads simulation.out, simulation.members_0 and simulation.uncertainty_0, writes picture.png.
"""

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

time, potential = np.loadtxt("simulation.out")[:, [1, 4]].T
members = np.loadtxt("simulation.members_0") * 27.211386  # hartree to eV
figure, (left, right) = plt.subplots(1, 2, figsize=(7.0, 2.6), layout="constrained")
for k, member in enumerate(members.T):
    left.plot(1e3 * time, member - potential[0], label=f"member {k + 1}")
left.plot(1e3 * time, potential - potential[0], "k--", label="mean")
left.set(xlabel="time, fs", ylabel="energy - first mean, eV")
left.legend(fontsize=8)
right.plot(
    1e3 * time, 27.211386 * np.loadtxt("simulation.uncertainty_0").reshape(len(time), -1)[:, 0]
)
right.set(xlabel="time, fs", ylabel="uncertainty of the energy, eV", ylim=(0, None))
figure.savefig("picture.png", dpi=90)
