"""Draw volume and conserved energy: python picture.py, after a run, in its folder.

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

figure, (left, right) = plt.subplots(1, 2, figsize=(7.0, 2.6), layout="constrained")
time = 0.5e-3 * thermo["Step"]
left.plot(time, thermo["Volume"])
left.set(xlabel="time, ps", ylabel="volume, Å³")
for name in ("PotEng", "Econserve"):
    right.plot(time, thermo[name] - thermo[name][0], label=name)
right.set(xlabel="time, ps", ylabel="energy - first, eV")
right.legend(fontsize=8)
figure.savefig("picture.png", dpi=90)
