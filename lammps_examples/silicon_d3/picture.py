"""Draw lattice constant and the energy of D3: python picture.py, after a run, in its folder.

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
time = 1e-3 * thermo["Step"]
left.plot(time, np.cbrt(thermo["Volume"]) / 2)
left.set(xlabel="time, ps", ylabel="lattice constant, Å")
right.plot(time, thermo["c_d3"])
right.set(xlabel="time, ps", ylabel="energy of D3, eV")
figure.savefig("picture.png", dpi=90)
