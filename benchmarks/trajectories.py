"""Read output of LAMMPS, and compute radial distribution functions."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms


def read_thermo(output: str) -> dict[str, np.ndarray | float]:
    """Read the columns of the last thermo output; `ms_per_step` is added."""
    lines = output.splitlines()
    start = max(k for k, line in enumerate(lines) if line.split()[:2] == ["Step", "Temp"])
    end = next(k for k, line in enumerate(lines) if k > start and line.startswith("Loop time"))
    table = np.array([[float(x) for x in line.split()] for line in lines[start + 1 : end]])
    columns = dict(zip(lines[start].split(), table.T, strict=True))
    words = lines[end].split()
    steps = max(float(words[words.index("steps") - 1]), 1.0)
    return {**columns, "ms_per_step": 1e3 * float(words[3]) / steps}


def read_dump(path: Path) -> list[Atoms]:
    """Read the frames of a dump of the water example: type 1 is H, type 2 is O."""
    frames = ase.io.read(path, index=":", format="lammps-dump-text")
    for frame in frames:
        frame.numbers = np.where(frame.numbers == 1, 1, 8)
    return frames


def pair_distribution(
    frames: list[Atoms], pair: str, end: float = 6.0, bins: int = 120
) -> tuple[np.ndarray, np.ndarray]:
    """Radial distribution function of two elements, pairs within molecules included.

    :param pair: "OO", "OH" or "HH"
    :return: r (bins,) in angstrom, g (bins,)
    """
    edges = np.linspace(0.0, end, bins + 1)
    shells = 4.0 / 3.0 * np.pi * np.diff(edges**3)
    numbers = {"O": 8, "H": 1}
    total = np.zeros(bins)
    for frame in frames:
        first = frame.numbers == numbers[pair[0]]
        second = frame.numbers == numbers[pair[1]]
        distances = frame.get_all_distances(mic=True)[np.ix_(first, second)]
        counted = np.histogram(distances[distances > 1e-6], bins=edges)[0]
        density = second.sum() / frame.get_volume()
        total += counted / (first.sum() * density * shells)
    return 0.5 * (edges[1:] + edges[:-1]), total / len(frames)
