"""Vectors and rank 2 tensors from random weights: exact under rotation, smooth, and in ASE."""

from dataclasses import replace

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule as build_molecule
from scipy.spatial.transform import Rotation

from helpers import CONTRAST, MODERN, PAPER
from pet_driver import PetDriverError
from pet_driver.cli.main import main
from pet_driver.engines.ase import PETCalculator
from pet_driver.evaluation.potential import Potential
from pet_driver.evaluation.rotation_error import rotated
from pet_driver.files.checkpoint import load_checkpoint, random_checkpoint, save_checkpoint

PROPERTIES = (("dipole", 1), ("polarizability", 2))
ROTATIONS = Rotation.random(5, random_state=11).as_matrix()


def potential_of(hyper, scope="layer", **options):
    checkpoint = random_checkpoint(replace(hyper, properties=PROPERTIES))
    return Potential(checkpoint, dtype="float64", scope=scope, **options)


def worst_covariance(potential, atoms, rotations):
    """Largest deviation from covariance of any atom's vector or tensor, relative to the largest."""
    still = potential.compute(atoms)
    dipole, alpha = still.vectors["dipole"], still.tensors["polarizability"]
    worst = 0.0
    for r, turned in zip(
        rotations, potential.compute([rotated(atoms, r) for r in rotations]), strict=True
    ):
        vector = np.abs(turned.vectors["dipole"] - dipole @ r.T).max()
        tensor = np.abs(turned.tensors["polarizability"] - r @ alpha @ r.T).max()
        worst = max(worst, vector, tensor)
    return worst / np.abs(alpha).max()


@pytest.mark.filterwarnings("ignore:.*was trained with scope")
@pytest.mark.parametrize("scope", ["layer", "atom", "structure"])
@pytest.mark.parametrize("hyper", [MODERN, PAPER, CONTRAST], ids=["modern", "paper", "contrast"])
@pytest.mark.parametrize("name", ["CH3CH2OH", "CO2", "H2", "C2H2", "O"])
def test_covariant_for_any_weights(hyper, scope, name):
    atoms = Atoms("O", [[0, 0, 0]]) if name == "O" else build_molecule(name)
    assert worst_covariance(potential_of(hyper, scope), atoms, ROTATIONS) < 1e-10


def test_plain_is_not_covariant(molecule):
    with pytest.warns(UserWarning, match="depends on the orientation"):
        plain = potential_of(MODERN, "none")
    assert worst_covariance(plain, molecule, ROTATIONS) > 1e-3


def test_in_a_box(small_box):
    assert worst_covariance(potential_of(MODERN), small_box, ROTATIONS[:2]) < 1e-10


def test_parity_covers_reflections():
    atoms = build_molecule("CH3CH2OH")
    mirror = ROTATIONS[0] @ np.diag([1.0, -1.0, 1.0])
    potential = potential_of(MODERN, parity=True)
    for structure in (atoms, build_molecule("CO2"), Atoms("OH", [[0, 0, 0], [0.3, 0.4, 0.8]])):
        assert worst_covariance(potential, structure, [mirror, -np.eye(3)]) < 1e-10


def test_symmetry_forbids():
    """Along an axis everything lies along the axis; a centre of inversion and a lone atom have no
    dipole; a lone atom is isotropic."""
    potential = potential_of(MODERN, parity=True)
    hydroxyl, dioxide, atom = potential.compute(
        [
            Atoms("OH", [[0, 0, 0], [0, 0, 0.97]]),
            Atoms("OCO", [[0, 0, -1.16], [0, 0, 0], [0, 0, 1.16]]),
            Atoms("O", [[1, 2, 3]]),
        ]
    )
    np.testing.assert_allclose(hydroxyl.total("dipole")[:2], 0.0, atol=1e-13)
    assert abs(hydroxyl.total("dipole")[2]) > 1e-3
    np.testing.assert_allclose(dioxide.total("dipole"), 0.0, atol=1e-13)
    np.testing.assert_allclose(atom.total("dipole"), 0.0, atol=1e-13)
    alpha = atom.total("polarizability")
    np.testing.assert_allclose(alpha, alpha[0, 0] * np.eye(3), atol=1e-13)
    assert abs(alpha[0, 0]) > 1e-3


def test_continuous_as_the_last_neighbor_leaves():
    potential = potential_of(MODERN)
    cutoff = potential.cutoff
    pairs = [Atoms("OH", [[0, 0, 0], [0, 0, cutoff + d]]) for d in (-1e-6, 1e-6, -0.3)]
    inside, outside, within = potential.compute(pairs)
    for name in ("dipole", "polarizability"):
        np.testing.assert_allclose(inside.total(name), outside.total(name), atol=1e-9)
    assert np.abs(within.total("dipole")).max() > 1e-4


def test_ase_and_files(tmp_path, small_box):
    checkpoint = random_checkpoint(replace(MODERN, properties=PROPERTIES))
    checkpoint.property_scales = {"dipole": 2.0}
    checkpoint.property_units = {"dipole": "e angstrom"}
    path = tmp_path / "dipoles.safetensors"
    save_checkpoint(checkpoint, path)
    assert load_checkpoint(path).property_units == {"dipole": "e angstrom"}

    calculator = PETCalculator(path, dtype="float64")
    small_box.calc = calculator
    dipole = small_box.get_dipole_moment()
    # In units of its own scale.
    bare = potential_of(MODERN).compute(small_box).total("dipole")
    np.testing.assert_allclose(dipole, 2.0 * bare, rtol=1e-12)
    assert calculator.results["polarizability"].shape == (3, 3)
    assert calculator.results["atomic_dipole"].shape == (len(small_box), 3)
    assert "dipole" not in PETCalculator("water").implemented_properties

    ase.io.write(tmp_path / "in.xyz", Atoms(small_box.numbers, small_box.positions))
    command = ["eval", str(path), str(tmp_path / "in.xyz"), "-o", str(tmp_path / "out.xyz")]
    assert main([*command, "--dtype", "float64"]) == 0
    written = ase.io.read(tmp_path / "out.xyz")
    assert written.info["polarizability"].shape == (3, 3)
    assert written.arrays["atomic_polarizability"].shape == (len(small_box), 9)
    summed = written.arrays["atomic_dipole"].sum(0)
    np.testing.assert_allclose(written.get_dipole_moment(), summed, atol=1e-6)


def test_what_is_not_there(potential, molecule):
    with pytest.raises(PetDriverError, match="no output 'dipole'; it has only energies"):
        potential.compute(molecule).total("dipole")
    with pytest.raises(ValueError, match="rank 3 is not possible"):
        replace(MODERN, properties=(("octupole", 3),))
