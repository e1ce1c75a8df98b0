"""Draw the stress against the strain: python picture.py, after a run, in its folder.

Reads log.lammps, writes picture.png.
"""

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

lines = Path("log.lammps").read_text().splitlines()
start = max(k for k, line in enumerate(lines) if line.split()[:2] == ["Step", "Temp"])
end = next(k for k, line in enumerate(lines) if k > start and line.startswith("Loop time"))
columns = np.array([line.split() for line in lines[start + 1 : end]], dtype=float).T
thermo = dict(zip(lines[start].split(), columns, strict=True))

figure, axis = plt.subplots(figsize=(4.6, 2.8), layout="constrained")
strain = thermo["Lx"] / thermo["Lx"][0] - 1.0
for name, label in (("Pxx", "xx"), ("Pyy", "yy"), ("Pzz", "zz")):
    axis.plot(100 * strain, -1e-4 * thermo[name], label=label)
axis.set(xlabel="strain along x, %", ylabel="stress, GPa")
axis.legend(fontsize=8)
figure.savefig("picture.png", dpi=90)
