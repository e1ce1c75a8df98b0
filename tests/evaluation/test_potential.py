"""Physics as the oracle: rotations, finite differences, extensivity, additivity."""

import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.build import molecule as build_molecule
from scipy.spatial.transform import Rotation

from helpers import CONTRAST, GENTLE_CONTRAST, MODERN, NEAREST, PAPER, worst_change
from pet_driver import PetDriverError
from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import random_checkpoint


@pytest.fixture(scope="module")
def rotations():
    return Rotation.random(20, random_state=1).as_matrix()


def test_ecse_is_exact_for_any_weights(any_checkpoint, water_box, molecule, rotations, capsys):
    exact = Potential(any_checkpoint, dtype="float64")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = Potential(any_checkpoint, dtype="float64", scope="none")
    for name, atoms in {"64 molecules": water_box, "one molecule": molecule}.items():
        changes = worst_change(exact, atoms, rotations)
        with capsys.disabled():
            print(f"\n{name}: relative change of energy, forces, virial")
            print("  plain", *(f"{x:.1e}" for x in worst_change(plain, atoms, rotations[:4])))
            print("  ECSE ", *(f"{x:.1e}" for x in changes))
        assert changes.max() < 1e-10


def patch_with_adatom():
    """A square lattice of carbon with one oxygen above a site, another far above."""
    sites = [[1.6 * i, 1.6 * j, 0.0] for i in range(4) for j in range(4)]
    return Atoms("C16O2", [*sites, [1.6, 1.6, 1.4], [3.2, 1.6, 3.3]])


def near_line(offset):
    return Atoms("OCO", [[-1.16, 0, 0], [0, offset, 0], [1.17, 0, 0]])


DEGENERATE = {
    "one atom": Atoms("O", [[0, 0, 0]]),
    "two atoms": build_molecule("H2"),
    "two far atoms": Atoms("OH", [[0, 0, 0], [0, 0, 3.4]]),
    "two molecules of two far atoms": Atoms("OHOH", [[0, 0, 0], [0, 0, 3.4], [9, 0, 0], [9, 2, 2]]),
    "linear": build_molecule("CO2"),
    "linear, four": build_molecule("C2H2"),
    "off line by 1e-3": near_line(1e-3),
    "off line by 1e-6": near_line(1e-6),
    "off line by 0.2": near_line(0.2),
    "square": Atoms("CO4", [[0, 0, 0], [1.3, 0, 0], [-1.3, 0, 0], [0, 1.3, 0], [0, -1.3, 0]]),
    "tetrahedron": build_molecule("CH4"),
    "adatom": patch_with_adatom(),
}


@pytest.mark.parametrize("atoms", DEGENERATE.values(), ids=DEGENERATE.keys())
@pytest.mark.parametrize(
    "hyper", [MODERN, NEAREST, PAPER, CONTRAST], ids=["modern", "nearest", "paper", "contrast"]
)
def test_ecse_is_exact_in_degenerate_environments(hyper, rotations, atoms):
    potential = Potential(random_checkpoint(hyper), dtype="float64")
    assert worst_change(potential, atoms, rotations[:5]).max() < 1e-10


@pytest.mark.parametrize("atoms", DEGENERATE.values(), ids=DEGENERATE.keys())
@pytest.mark.parametrize(
    "hyper", [MODERN, NEAREST, CONTRAST], ids=["modern", "nearest", "contrast"]
)
def test_forces_in_degenerate_environments(hyper, atoms):
    """Along a random direction, which leaves the symmetric geometry."""
    potential = Potential(random_checkpoint(hyper), dtype="float64")
    move, step = np.random.default_rng(4).normal(size=atoms.positions.shape), 1e-5
    moved = []
    for sign in (-2, -1, 1, 2):
        copy = atoms.copy()
        copy.positions += sign * step * move
        moved.append(copy)
    e = [p.energy for p in potential.compute(moved)]
    slope = (e[0] - 8 * e[1] + 8 * e[2] - e[3]) / (12 * step)
    forces = potential.compute(atoms).forces
    assert (forces * move).sum() == pytest.approx(
        -slope, abs=1e-6 * max(np.abs(forces).max(), 1e-3)
    )


@pytest.mark.parametrize("hyper", [CONTRAST, GENTLE_CONTRAST], ids=["contrast", "gentle contrast"])
@pytest.mark.parametrize(
    "crystal",
    [bulk("C"), bulk("Cu", a=3.4), bulk("W", a=2.9)],
    ids=["diamond", "fcc", "bcc"],
)
def test_perfect_crystals_are_exact(hyper, crystal, rotations):
    """All frames tie. At rest no atom is pushed; parts of the frames give the same as all."""
    atoms = Atoms([6] * len(crystal), crystal.positions, cell=crystal.cell, pbc=True)
    checkpoint = random_checkpoint(hyper)
    potential = Potential(checkpoint, dtype="float64")
    energy, _, virial = worst_change(potential, atoms, rotations)
    assert max(energy, virial) < 1e-10
    still = potential.compute(atoms)
    assert np.abs(still.forces).max() < 1e-10
    in_parts = Potential(checkpoint, dtype="float64", chunk=7, memory_share=1e-9)
    assert in_parts.compute(atoms).energy == pytest.approx(still.energy, rel=1e-12)
    strained = atoms.copy()
    strained.set_cell(atoms.cell.array @ np.diag([1.01, 1.0, 0.99]), scale_atoms=True)
    energy, _, virial = worst_change(potential, strained, rotations)
    assert max(energy, virial) < 1e-10


def test_float32_is_exact_to_its_precision(checkpoint, water_box, rotations):
    assert worst_change(Potential(checkpoint), water_box, rotations[:3]).max() < 1e-5


@pytest.mark.parametrize("scope", ["layer", "none"])
def test_forces_are_the_gradient(any_checkpoint, small_box, scope):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        potential = Potential(any_checkpoint, dtype="float64", scope=scope)
    forces = potential.compute(small_box).forces
    rng, step = np.random.default_rng(0), 1e-5
    for atom, axis in rng.integers([len(small_box), 3], size=(8, 2)):
        moved = []
        for sign in (-2, -1, 1, 2):
            copy = small_box.copy()
            copy.positions[atom, axis] += sign * step
            moved.append(copy)
        e = [p.energy for p in potential.compute(moved)]
        slope = (e[0] - 8 * e[1] + 8 * e[2] - e[3]) / (12 * step)
        assert forces[atom, axis] == pytest.approx(-slope, abs=1e-6 * np.abs(forces).max())


def test_virial_is_the_response_to_strain(potential, small_box):
    virial = potential.compute(small_box).virial
    step = 1e-5
    for a, b in np.ndindex(3, 3):
        strain = np.zeros((3, 3))
        strain[a, b] += 0.5 * step
        strain[b, a] += 0.5 * step
        energies = []
        for sign in (-1, 1):
            copy = small_box.copy()
            copy.set_cell(small_box.cell.array @ (np.eye(3) + sign * strain), scale_atoms=True)
            energies.append(potential.compute(copy).energy)
        slope = (energies[1] - energies[0]) / (2 * step)
        assert virial[a, b] == pytest.approx(-slope, abs=1e-6 * np.abs(virial).max())


def test_no_torque_and_no_force_on_a_free_molecule(potential, molecule):
    forces = potential.compute(molecule).forces
    assert np.abs(np.cross(molecule.positions, forces).sum(0)).max() < 1e-8
    assert np.abs(forces.sum(0)).max() < 1e-10


def test_energy_is_extensive_and_additive(potential, small_box, molecule):
    one, eight = potential.compute([small_box, small_box.repeat((2, 1, 1))])
    assert eight.energy == pytest.approx(2 * one.energy, rel=1e-10)
    far = molecule.copy()
    far.positions += [50.0, 0.0, 0.0]
    both, alone = potential.compute([molecule + far, molecule])
    assert both.energy == pytest.approx(2 * alone.energy, rel=1e-10)


def test_energies_add_up(potential, water_box):
    prediction = potential.compute(water_box)
    assert prediction.energies.shape == (192,)
    assert prediction.energies.sum() == pytest.approx(prediction.energy, rel=1e-12)
    assert np.abs(prediction.forces.sum(0)).max() < 1e-10


def test_order_of_atoms_does_not_matter(potential, small_box):
    order = np.random.default_rng(2).permutation(len(small_box))
    first, second = potential.compute([small_box, small_box[order]])
    assert second.energy == pytest.approx(first.energy, rel=1e-12)
    np.testing.assert_allclose(second.forces, first.forces[order], atol=1e-11)


def test_structures_without_atoms(potential, molecule):
    assert potential.compute([]) == []
    with pytest.raises(PetDriverError, match="structure 1 has no atoms"):
        potential.compute([molecule, Atoms()])


def test_weights_that_are_not_finite_give_no_result(molecule):
    broken = random_checkpoint(MODERN)
    broken.weights["node_heads.0.layers.4.bias"][:] = float("nan")
    with pytest.raises(PetDriverError, match="not finite"):
        Potential(broken).compute(molecule)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"dtype": "float16"}, "dtype is 'float16'"),
        ({"scope": "globe"}, "scope is 'globe'"),
        ({"device": "abacus"}, "device is 'abacus'"),
        ({"device": "cuda:99"}, "--device cpu|use a lower number"),
    ],
)
def test_options_are_checked(checkpoint, options, sentence):
    with pytest.raises(PetDriverError, match=sentence):
        Potential(checkpoint, **options)


def test_another_scope_than_trained_is_said_aloud(checkpoint):
    with pytest.warns(UserWarning, match="trained with scope 'layer' and runs with 'none'"):
        Potential(checkpoint, scope="none")


@pytest.mark.skipif("not __import__('torch').cuda.is_available()", reason="no GPU here")
def test_gpu_gives_the_same_numbers(checkpoint, water_box):
    cpu = Potential(checkpoint, dtype="float64").compute(water_box)
    gpu = Potential(checkpoint, dtype="float64", device="cuda").compute(water_box)
    assert gpu.energy == pytest.approx(cpu.energy, rel=1e-10)
    np.testing.assert_allclose(gpu.forces, cpu.forces, atol=1e-9)


def test_shared_weights_keep_their_dtype(checkpoint, molecule):
    first = Potential(checkpoint, dtype="float64")
    shared = Potential(first.model, dtype="float64")
    assert shared.model is first.model
    assert shared.compute(molecule).energy == first.compute(molecule).energy
    with pytest.raises(PetDriverError, match="float64 on cpu, but float32 on cpu was asked for"):
        Potential(first.model)
