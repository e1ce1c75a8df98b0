"""Draw the wave numbers of the vibrations: python picture.py, after a run, in its folder.

Reads simulation.phonons.eigval, writes picture.png.
"""

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

values = np.loadtxt("simulation.phonons.eigval")
waves = np.sign(values) * np.sqrt(np.abs(values)) * 219474.63  # atomic units to 1/cm
figure, axis = plt.subplots(figsize=(4.6, 2.8), layout="constrained")
bars = axis.bar(range(1, len(waves) + 1), waves)
axis.bar_label(bars, [f"{abs(wave):.0f}" for wave in waves], fontsize=8)
axis.set(xlabel="mode", ylabel="wave number, 1/cm")
axis.margins(y=0.12)
figure.savefig("picture.png", dpi=90)
