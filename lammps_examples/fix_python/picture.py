"""Draw temperature and potential energy: python picture.py, after a run, in its folder.

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
left.plot(time, thermo["Temp"])
left.set(xlabel="time, ps", ylabel="temperature, K")
right.plot(time, thermo["PotEng"] - thermo["PotEng"][0])
right.set(xlabel="time, ps", ylabel="potential energy - first, eV")
figure.savefig("picture.png", dpi=90)
