"""Draw the temperature of each replica: python picture.py, after a run, in its folder.

Reads the three files simulation.out, writes picture.png.
"""

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

figure, axis = plt.subplots(figsize=(4.6, 2.8), layout="constrained")
for path in sorted(Path().glob("*_simulation.out")):
    table = np.loadtxt(path).T
    axis.step(1e3 * table[1], table[5], where="post", label=path.name.split("_")[0])
axis.set(xlabel="time, fs", ylabel="temperature of the ensemble, K")
axis.legend(fontsize=8, title="replica")
figure.savefig("picture.png", dpi=90)
