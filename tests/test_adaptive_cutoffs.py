"""Cutoffs that follow the density, the repulsion of nuclei, charge and spin; random weights."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from scipy.spatial.transform import Rotation

from helpers import CONTRAST, FOREIGN, FOREIGN_PAPER, worst_change
from pet_driver.engines.ase import PETCalculator
from pet_driver.errors import PetDriverError
from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import random_checkpoint
from pet_driver.model import Hyperparameters, adaptive_cutoffs

SCOPES = ("none", "layer", "atom", "structure")
FOREIGN_MODELS = {
    "modern": FOREIGN,
    "paper": FOREIGN_PAPER,
    "contrast": replace(FOREIGN, frames=CONTRAST.frames),
}
# Repulsion of nuclei beyond the cutoff of the network, which is fixed.
FAR_REPULSION = replace(
    FOREIGN_PAPER,
    foreign=replace(FOREIGN_PAPER.foreign, zbl_radii=(1.0, 1.5, 2.5), adaptive_neighbors=None),
)


def potential_of(hyper: Hyperparameters, scope: str, **options: object) -> Potential:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Potential(random_checkpoint(hyper), dtype="float64", scope=scope, **options)


def table(rng: np.random.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor(rng.uniform(0.8, 5.9, (4, count)))
    valid = torch.ones(4, count, dtype=torch.bool)
    valid[1, count // 2 :] = False
    valid[2] = False
    return lengths, valid


@pytest.mark.parametrize("method", ["solver", "grid"])
def test_number_of_neighbors(method: str) -> None:
    """About as many as asked for; the largest cutoff where there is none."""
    lengths, valid = table(np.random.default_rng(1), 60)
    radii = adaptive_cutoffs(lengths, valid, method, 10.0, 6.0, 0.3)
    counts = ((lengths < radii[:, None]) & valid).sum(1)
    assert 6 <= int(counts[0]) <= 14
    assert float(radii[0]) < float(radii[1]) < float(radii[2])
    assert float(radii[2]) == pytest.approx(6.0, abs=1e-9 if method == "solver" else 0.3)


@pytest.mark.parametrize("method", ["solver", "grid"])
def test_derivatives_of_cutoffs(method: str) -> None:
    lengths, valid = table(np.random.default_rng(2), 14)
    lengths.requires_grad_(True)
    assert torch.autograd.gradcheck(
        lambda x: adaptive_cutoffs(x, valid, method, 6.0, 6.0, 1.0), (lengths,), atol=1e-6
    )


def test_root_is_one() -> None:
    """The solver's radius solves its equation, also in a step of the number of neighbors."""
    from pet_driver.model.cutoffs import bump_cutoff

    lengths, valid = table(np.random.default_rng(3), 200)
    radii = adaptive_cutoffs(lengths, valid, "solver", 14.0, 6.0, 0.2)
    inside = torch.where(valid, bump_cutoff(lengths, radii[:, None], 0.2)[0], 0.0).sum(1)
    assert torch.allclose(inside + 14.0 * (radii / 6.0) ** 3, torch.tensor(14.0).double())


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(
    "hyper", [*FOREIGN_MODELS.values(), FAR_REPULSION], ids=[*FOREIGN_MODELS, "far repulsion"]
)
def test_forces_and_virial(hyper: Hyperparameters, scope: str, small_box: Atoms) -> None:
    """Against finite differences along a random path and a random strain."""
    potential = potential_of(hyper, scope)
    rng, step = np.random.default_rng(0), 2e-5
    move = rng.normal(size=small_box.positions.shape)
    strain = rng.normal(size=(3, 3)) * 0.2
    moved, strained = [], []
    for k in (-2, -1, 1, 2):
        moved.append(small_box.copy())
        moved[-1].positions += k * step * move
        strained.append(small_box.copy())
        matrix = np.eye(3) + k * step * 0.5 * (strain + strain.T)
        strained[-1].set_cell(small_box.cell.array @ matrix, scale_atoms=True)
    found = potential.compute(small_box)
    for copies, expected in (
        (moved, -(found.forces * move).sum()),
        (strained, -(found.virial * strain).sum()),
    ):
        e = [p.energy for p in potential.compute(copies)]
        slope = (e[0] - 8 * e[1] + 8 * e[2] - e[3]) / (12 * step)
        assert slope == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("scope", ["layer", "atom", "structure"])
@pytest.mark.parametrize("hyper", FOREIGN_MODELS.values(), ids=FOREIGN_MODELS.keys())
def test_exact_under_rotation(hyper: Hyperparameters, scope: str, small_box: Atoms) -> None:
    rotations = Rotation.random(3, random_state=3).as_matrix()
    assert worst_change(potential_of(hyper, scope), small_box, rotations).max() < 1e-10
    assert worst_change(potential_of(hyper, "none"), small_box, rotations).max() > 1e-4


def test_exact_where_neighbors_are_few() -> None:
    """Free atoms and pairs, one near and one just inside of the largest cutoff."""
    rotations = Rotation.random(3, random_state=4).as_matrix()
    for distance in (0.9, 3.9, 4.4, 4.6):
        pair = Atoms("OH", [[0.0, 0.0, 0.0], [0.0, 0.0, distance]])
        assert worst_change(potential_of(FOREIGN, "layer"), pair, rotations).max() < 1e-10


@pytest.mark.parametrize("scope", ["none", "layer", "atom"])
def test_smooth_as_atoms_crowd(scope: str) -> None:
    """Forces have no jump as neighbors pass each other's adapted cutoffs."""
    potential = potential_of(FOREIGN, scope)
    rng = np.random.default_rng(6)
    far = rng.normal(size=(14, 3))
    far *= rng.uniform(1.6, 3.5, (14, 1)) / np.linalg.norm(far, axis=1)[:, None]
    symbols = "O" + "HCO" * 4 + "HH"

    def crowd(s: float) -> Atoms:
        return Atoms(symbols, np.concatenate([np.zeros((1, 3)), (1.0 + s) * far]))

    s = np.linspace(0.0, 0.5, 21 if scope == "atom" else 101)
    moves = np.concatenate([np.zeros((1, 3)), far])
    slopes = np.array([-(p.forces * moves).sum() for p in potential.compute([crowd(x) for x in s])])
    near = np.array(
        [-(p.forces * moves).sum() for p in potential.compute([crowd(x + 1e-9) for x in s])]
    )
    assert np.abs(near - slopes).max() < 1e-4 * np.abs(slopes).max()


def test_repulsion_beyond_the_cutoff() -> None:
    """Two atoms beyond the cutoff of the network but within that of the repulsion."""
    assert FAR_REPULSION.neighbor_cutoff == 5.0 > FAR_REPULSION.cutoff
    potential = potential_of(FAR_REPULSION, "none")
    pairs = [Atoms("OO", [[0, 0, 0], [0, 0, d]]) for d in (3.6, 4.0, 4.9, 5.1)]
    energies = [p.energy for p in potential.compute(pairs)]
    alone = 2.0 * potential.compute(Atoms("O")).energy
    assert energies[0] > energies[1] > energies[2] > energies[3]
    assert energies[3] == pytest.approx(alone, abs=1e-12)


def test_charge_and_spin(small_box: Atoms) -> None:
    """The energy depends on both; structures without them have those of the potential's options."""
    potential = potential_of(FOREIGN, "layer")
    said = small_box.copy()
    said.info.update(charge=1, spin_multiplicity=2)
    neutral, charged = (p.energy for p in potential.compute([small_box, said]))
    assert abs(neutral - charged) > 1e-3
    assert potential_of(FOREIGN, "layer", charge=1, spin=2).compute(small_box).energy == charged
    atoms = small_box.copy()
    atoms.calc = PETCalculator(potential)
    assert atoms.get_potential_energy() == pytest.approx(neutral, rel=1e-12)
    atoms.info.update(charge=1, spin=2)
    assert atoms.get_potential_energy() == pytest.approx(charged, rel=1e-12)


@pytest.mark.parametrize(
    ("info", "said"),
    [({"charge": 3}, "charge is 3"), ({"spin": 4}, "multiplicity is 4"), ({"charge": 0.5}, "0.5")],
)
def test_impossible_charges(small_box: Atoms, info: dict, said: str) -> None:
    atoms = small_box.copy()
    atoms.info.update(info)
    with pytest.raises(PetDriverError, match=said):
        potential_of(FOREIGN, "none").compute(atoms)


def test_charges_that_nobody_heeds() -> None:
    with pytest.raises(PetDriverError, match="does not depend"):
        potential_of(FOREIGN_PAPER, "none", charge=1)


def test_extensive() -> None:
    crystal = bulk("CO", "rocksalt", a=3.4, cubic=True)
    potential = potential_of(FOREIGN, "atom")
    one, two = (p.energy for p in potential.compute([crystal, crystal * (2, 1, 1)]))
    assert two == pytest.approx(2.0 * one, rel=1e-11)
