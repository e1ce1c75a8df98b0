"""Draw temperature and radial distribution: python picture.py, after a run, in its folder.

Reads log.lammps and water.lammpstrj, writes picture.png.
"""

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def distribution(frames: list[dict], first: int, second: int) -> tuple[np.ndarray, np.ndarray]:
    """Radial distribution function of two types in a cubic box; r and g."""
    edges = np.linspace(0.8, 6.0, 105)
    counts = np.zeros(len(edges) - 1)
    for frame in frames:
        side = frame["box"]
        apart = frame[first][:, None] - frame[second][None]
        apart -= side * np.round(apart / side)
        distances = np.linalg.norm(apart, axis=-1)
        density = len(frame[second]) / side**3
        shells = 4.0 / 3.0 * np.pi * np.diff(edges**3) * density * len(frame[first])
        counts += np.histogram(distances, bins=edges)[0] / shells
    return 0.5 * (edges[1:] + edges[:-1]), counts / len(frames)


def read_frames(path: str) -> list[dict]:
    """Positions by type and the side of the box, for each frame of a dump."""
    frames = []
    for part in Path(path).read_text().split("ITEM: TIMESTEP")[1:]:
        box, atoms = part.split("ITEM: BOX BOUNDS")[1].split("ITEM: ATOMS")
        low, high = map(float, box.splitlines()[1].split()[:2])
        table = np.array([line.split() for line in atoms.splitlines()[1:] if line], dtype=float)
        frames.append({"box": high - low, **{n: table[table[:, 1] == n, 2:5] for n in (1, 2)}})
    return frames


lines = Path("log.lammps").read_text().splitlines()
start = max(k for k, line in enumerate(lines) if line.split()[:2] == ["Step", "Temp"])
end = next(k for k, line in enumerate(lines) if k > start and line.startswith("Loop time"))
columns = np.array([line.split() for line in lines[start + 1 : end]], dtype=float).T
thermo = dict(zip(lines[start].split(), columns, strict=True))

figure, (left, right) = plt.subplots(1, 2, figsize=(7.0, 2.6), layout="constrained")
left.plot(0.5e-3 * thermo["Step"], thermo["Temp"])
left.set(xlabel="time, ps", ylabel="temperature, K")
frames = read_frames("water.lammpstrj")
for first, second, name in ((2, 2, "O-O"), (2, 1, "O-H"), (1, 1, "H-H")):
    right.plot(*distribution(frames[len(frames) // 4 :], first, second), label=name)
right.set(xlabel="distance, Å", ylabel="radial distribution", ylim=(0, 4))
right.legend(fontsize=8)
figure.savefig("picture.png", dpi=90)
