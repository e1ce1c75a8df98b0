"""Draw density and stress across the slab: python picture.py, after a run, in its folder.

Reads profile.txt, writes picture.png.
"""

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

lines = Path("profile.txt").read_text().splitlines()
words = [line.split() for line in lines if not line.startswith("#")]
layers = int(words[0][1])
tables = np.array([row for row in words if len(row) == 5], dtype=float).reshape(-1, layers, 5)
z, density, stress = tables[len(tables) // 2 :].mean(0)[:, [1, 3, 4]].T
figure, (left, right) = plt.subplots(1, 2, figsize=(7.0, 2.6), layout="constrained")
left.plot(z, density)
left.set(xlabel="z, Å", ylabel="density, g/cm³")
right.plot(z, 1e-4 * stress)
right.set(xlabel="z, Å", ylabel="sum of zz stresses, GPa Å³")
figure.savefig("picture.png", dpi=90)
