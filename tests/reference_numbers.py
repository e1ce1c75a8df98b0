"""Energies, forces and virials of many models, to compare two versions of the package.

    python tests/reference_numbers.py make FILE
    python tests/reference_numbers.py compare FILE [OTHER]

`make` evaluates the shipped models and some converted ones in float64, in the scopes none, layer
and atom, through ASE and through LAMMPS on one and on two ranks. `compare` does the same again, or
reads another such file, and prints how far the numbers are apart. On one machine a change that
keeps the order of sums keeps every bit.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # the order of sums depends on the number of threads

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from ase.io.lammpsdata import write_lammps_data
from safetensors.numpy import load_file, save_file

DATA = Path(__file__).parent / "data"
SHIPPED = ("water", "water_plain", "silicon", "dipeptides")
CONVERTED = ("004", "010", "017")
SCOPES = ("none", "layer", "atom")
RANKS = (1, 2)

Numbers = dict[str, np.ndarray]

LAMMPS_CASE = """
clear
units metal
atom_style atomic
read_data {data}
pair_style pet {model} dtype float64 scope {scope}
pair_coeff * * {elements}
compute energies all pe/atom
compute virials all stress/atom NULL virial
dump atoms all custom 1 {name}.atoms id c_energies fx fy fz c_virials[1] c_virials[4]
dump_modify atoms sort id format float %.17g
run 0
print "$(pe:%.17g) $(pxx:%.17g) $(pyy:%.17g) $(pzz:%.17g) $(pxy:%.17g) $(pxz:%.17g) $(pyz:%.17g)" &
  file {name}.totals
"""


def structure(species: tuple[int, ...]) -> Atoms:
    """18 atoms of at most four elements on a distorted lattice, in a triclinic box."""
    rng = np.random.default_rng(11)
    grid = np.array(list(np.ndindex(3, 3, 2)), dtype=float)
    cell = np.array([[7.2, 0.0, 0.0], [0.7, 6.9, 0.0], [-0.4, 0.5, 5.1]])
    positions = (grid + 0.5) / [3, 3, 2] @ cell + rng.normal(scale=0.2, size=(len(grid), 3))
    numbers = np.resize(species[:4], len(grid))
    return Atoms(numbers, np.round(positions, 6), cell=cell, pbc=True)


def model_paths(folder: Path) -> dict[str, Path]:
    """Model files by name; checkpoints of metatrain are converted into the folder."""
    from pet_driver.cli.main import main

    paths = {name: Path(name) for name in SHIPPED}
    for name in CONVERTED:
        paths[name] = folder / f"{name}.safetensors"
        source = DATA / "metatrain" / f"{name}.ckpt"
        if main(["convert", str(source), "-o", str(paths[name]), "--frames", "paper"]):
            raise SystemExit(f"{source} could not be converted")
    return paths


def through_ase(paths: dict[str, Path]) -> Numbers:
    """Results of the calculator, and the virial behind its stress."""
    from pet_driver.engines.ase import PETCalculator

    torch.set_num_threads(1)
    found: Numbers = {}
    for name, path in paths.items():
        for scope in SCOPES:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                calculator = PETCalculator(path, dtype="float64", scope=scope)
            atoms = structure(calculator.potential.species)
            atoms.calc = calculator
            case = f"ase/{name}/{scope}"
            found[f"{case}/energy"] = np.array([atoms.get_potential_energy()])
            found[f"{case}/energies"] = calculator.results["energies"]
            found[f"{case}/forces"] = atoms.get_forces()
            found[f"{case}/virial"] = calculator.potential.compute(atoms).virial
    return found


def through_lammps(paths: dict[str, Path], ranks: int, folder: Path) -> Numbers:
    """What LAMMPS has after `run 0`."""
    from pet_driver import load_model

    script, names = "", []
    for name, path in paths.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            species = load_model(path).species[:4]
        data = folder / f"{name}.data"
        elements = [chemical_symbols[z] for z in species]
        write_lammps_data(str(data), structure(species), specorder=elements, masses=True)
        for scope in SCOPES:
            case = f"{name}-{scope}"
            names.append(case)
            script += LAMMPS_CASE.format(
                data=data, model=path, scope=scope, elements=" ".join(elements), name=case
            )
    (folder / "in.lmp").write_text(script)
    programs = Path(sys.executable).parent
    command = [programs / "mpiexec", "-n", str(ranks), programs / "pet-lmp", "-in", "in.lmp"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)
    if done.returncode:
        raise SystemExit(done.stdout[-1000:] + done.stderr[-1000:])
    found: Numbers = {}
    for case in names:
        prefix = f"lammps-{ranks}/{case.replace('-', '/')}"
        table = np.loadtxt(folder / f"{case}.atoms", skiprows=9)
        found[f"{prefix}/energies"], found[f"{prefix}/forces"] = table[:, 1], table[:, 2:5]
        found[f"{prefix}/virials"] = table[:, 5:]
        totals = np.loadtxt(folder / f"{case}.totals")
        found[f"{prefix}/energy"], found[f"{prefix}/pressure"] = totals[:1], totals[1:]
    return found


def make(with_lammps: bool = True) -> Numbers:
    """All numbers, by route, model, scope and quantity."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = model_paths(folder)
        found = through_ase(paths)
        for ranks in RANKS if with_lammps else ():
            run = folder / f"ranks_{ranks}"
            run.mkdir()
            found.update(through_lammps(paths, ranks, run))
    return {key: np.ascontiguousarray(x, dtype=np.float64) for key, x in found.items()}


def differences(before: Numbers, after: Numbers) -> dict[str, float]:
    """Largest difference of each quantity, relative to its largest magnitude; 0: equal bit by bit.

    :raises SystemExit: if one of them lacks a quantity of the other's
    """
    if before.keys() != after.keys():
        raise SystemExit(f"only in one of them: {sorted(before.keys() ^ after.keys())}")
    found = {}
    for key, old in before.items():
        scale = max(np.abs(old).max(), 1e-30)
        found[key] = (
            0.0 if np.array_equal(old, after[key]) else np.abs(old - after[key]).max() / scale
        )
    return found


def report(found: dict[str, float]) -> None:
    """Per route: how many quantities are equal, and the largest difference of the others."""
    for route in dict.fromkeys(key.split("/")[0] for key in found):
        some = {key: x for key, x in found.items() if key.split("/")[0] == route}
        equal = sum(x == 0.0 for x in some.values())
        worst = max(some, key=lambda key: some[key])
        print(
            f"{route}: {equal} of {len(some)} equal bit by bit; largest {some[worst]:.1e} ({worst})"
        )


def main(words: list[str]) -> None:
    if len(words) == 2 and words[0] == "make":
        save_file(make(), words[1])
    elif len(words) in (2, 3) and words[0] == "compare":
        after = load_file(words[2]) if len(words) == 3 else make()
        report(differences(load_file(words[1]), after))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
