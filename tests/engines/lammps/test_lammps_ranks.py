"""The same numbers on any number of ranks: real LAMMPS against ASE in one process.

One run of LAMMPS per number of ranks goes through all systems and all models.
"""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.io.lammpsdata import write_lammps_data

from helpers import CONTRAST, FOREIGN, FOREIGN_PAPER, GENTLE_CONTRAST, MODERN, PAPER
from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import random_checkpoint, save_checkpoint

BAR = 1602176.5  # per eV / angstrom^3, LAMMPS' constant for metal units
WATER = np.array([[0.0, 0.0, 0.0], [0.76, 0.59, 0.0], [-0.76, 0.59, 0.0]])


def molecules(cell, repeats, seed=7):
    """Water molecules at the points of a grid, turned at random."""
    rng = np.random.default_rng(seed)
    positions = []
    for corner in np.ndindex(*repeats):
        axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        centre = (np.array(corner) + 0.25) / repeats @ np.array(cell)
        positions.append(centre + WATER @ axes.T)
    count = int(np.prod(repeats))
    return Atoms("OHH" * count, np.concatenate(positions), cell=cell, pbc=True)


def tilted():
    """A molecular crystal in a triclinic cell."""
    return molecules([[6.3, 0.0, 0.0], [1.9, 6.1, 0.0], [-1.6, 1.7, 6.4]], (2, 2, 2))


def slab():
    atoms = molecules([[6.4, 0.0, 0.0], [0.0, 6.4, 0.0], [0.0, 0.0, 6.4]], (2, 2, 2))
    atoms.pbc = [True, True, False]
    atoms.cell[2, 2] = 20.0
    return atoms


def cluster():
    """Three molecules in the corner of a large box: most ranks own no atom."""
    atoms = molecules(np.diag([9.0, 3.0, 3.0]), (3, 1, 1))
    atoms.positions += 2.0
    atoms.set_cell([30.0] * 3)
    atoms.pbc = False
    return atoms


def two_atoms():
    return Atoms("OH", [[0.3, 0.3, 0.3], [1.1, 0.9, 0.5]], cell=[2.6, 2.9, 3.1], pbc=True)


# name: structure, LAMMPS boundary, further commands
SYSTEMS = {
    "water": (molecules(np.diag([9.3] * 3), (3, 3, 3)), "p p p", ""),
    "tilted": (tilted(), "p p p", ""),
    "slab": (slab(), "p p s", ""),
    "cluster": (cluster(), "f f f", ""),
    "balanced": (cluster(), "f f f", "comm_style tiled\nbalance 1.0 rcb"),
    "two atoms": (two_atoms(), "p p p", ""),
    "one atom": (Atoms("O", [[1.0, 1.0, 1.0]], cell=[12.0] * 3, pbc=True), "p p p", ""),
}

# name: hyperparameters, options of pair_style pet
MODELS = {
    f"{scope} {layers}": (replace(MODERN, message_layers=layers), f"scope {scope}")
    for scope in ("layer", "none")
    for layers in (1, 2, 3)
} | {
    "paper": (replace(PAPER, message_layers=3), "scope layer"),
    "wide": (replace(MODERN, message_layers=3), "scope layer halo wide"),
    "atom": (replace(MODERN, message_layers=2), "scope atom"),
    "contrast": (replace(CONTRAST, message_layers=2), "scope layer"),
    "contrast atom": (replace(GENTLE_CONTRAST, message_layers=2), "scope atom"),
    "foreign plain": (replace(FOREIGN, cutoff=3.5), "scope none charge 1 spin 2"),
    "foreign layer": (replace(FOREIGN, cutoff=3.5), "scope layer"),
    "foreign wide": (replace(FOREIGN, cutoff=3.0), "scope layer halo wide"),
    "foreign atom": (replace(FOREIGN, cutoff=3.0), "scope atom"),
    "foreign paper": (FOREIGN_PAPER, "scope layer"),
}

SYSTEM = """
clear
units metal
atom_modify map array
boundary {boundary}
read_data {name}.data
{commands}
compute energy all pe/atom
compute stress all stress/atom NULL virial
thermo_style custom step pe pxx pyy pzz pxy pxz pyz
"""
MODEL = """
pair_style pet {model}.safetensors dtype float64 {options}
pair_coeff * * H O
dump atoms all custom 1 {folder}/{system}.{model}.txt id c_energy fx fy fz c_stress[*]
dump_modify atoms sort id format float %.17g
run 0 post no
undump atoms
print "RESULT {system}/{model}/$(pe:%.17g) $(vol:%.17g) $(pxx:%.17g) $(pyy:%.17g) $(pzz:%.17g) &
$(pxy:%.17g) $(pxz:%.17g) $(pyz:%.17g)"
"""


@pytest.fixture(scope="module")
def checkpoints():
    return {name: random_checkpoint(hyper) for name, (hyper, _) in MODELS.items()}


@pytest.fixture(scope="module")
def expected(checkpoints):
    """ASE's numbers, of one process."""
    found = {}
    for name, (_, options) in MODELS.items():
        words = options.split()
        chosen = dict(zip(words[::2], words[1::2], strict=True))
        electrons = {key: int(chosen[key]) for key in ("charge", "spin") if key in chosen}
        scope = chosen["scope"]
        potential = Potential(checkpoints[name], dtype="float64", scope=scope, **electrons)
        for system, (atoms, _, _) in SYSTEMS.items():
            found[system, name] = potential.compute(atoms)
    return found


@pytest.mark.filterwarnings("ignore:.*was trained with scope")
@pytest.mark.parametrize(
    "ranks", [2, *(pytest.param(ranks, marks=pytest.mark.slow) for ranks in (1, 3, 4))]
)
def test_every_system_and_model_on_every_number_of_ranks(
    run_lammps, tmp_path, checkpoints, expected, ranks
):
    text = ""
    for name, checkpoint in checkpoints.items():
        save_checkpoint(checkpoint, tmp_path / f"{_file(name)}.safetensors")
    for system, (atoms, boundary, commands) in SYSTEMS.items():
        path = tmp_path / f"{_file(system)}.data"
        write_lammps_data(path, atoms, specorder=["H", "O"], masses=True, atom_style="atomic")
        text += SYSTEM.format(boundary=boundary, name=_file(system), commands=commands)
        for name, (_, options) in MODELS.items():
            text += MODEL.format(
                system=_file(system), model=_file(name), options=options, folder=tmp_path
            )
    result = run_lammps(text, ranks)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    printed = {}
    for line in result.stdout.splitlines():
        if line.startswith("RESULT"):
            system, name, numbers = line[len("RESULT ") :].split("/")
            printed[system, name] = np.array(numbers.split(), dtype=float)
    for (system, name), prediction in expected.items():
        case = f"{system}, {name}, {ranks} ranks"
        energy, volume, *pressure = printed[_file(system), _file(name)]
        atoms = np.loadtxt(tmp_path / f"{_file(system)}.{_file(name)}.txt", skiprows=9, ndmin=2)
        _close(energy, prediction.energy, case + ": energy")
        _close(atoms[:, 1], prediction.energies, case + ": energies")
        _close(atoms[:, 2:5], prediction.forces, case + ": forces")
        _close(np.array(pressure) * volume / BAR, _voigt(prediction.virial), case + ": virial")
        # LAMMPS calls the negative of the virial stress.
        _close(-atoms[:, 5:] / BAR, _voigt(prediction.virials), case + ": virials")


def _file(name):
    return name.replace(" ", "_")


def _voigt(tensors):
    """LAMMPS' order: xx yy zz xy xz yz."""
    return tensors[..., [0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]


def _close(found, expected, what):
    scale = max(np.abs(expected).max(), 1.0)
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-9 * scale, err_msg=what)
