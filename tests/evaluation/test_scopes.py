"""The scopes of averaging against each other and against brute force: the structure turned into
each frame, one evaluation of the plain network for each."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.build import molecule as build_molecule
from scipy.spatial.transform import Rotation

from helpers import CONTRAST, MODERN, PAPER, worst_change
from pet_driver import PetDriverError
from pet_driver.evaluation.potential import Potential
from pet_driver.evaluation.rotation_error import rotated
from pet_driver.files.checkpoint import random_checkpoint
from pet_driver.model import ForeignHyperparameters

COPPER = bulk("Cu", a=3.61)


def potential_of(hyper, scope, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Potential(random_checkpoint(hyper), dtype="float64", scope=scope, **options)


@pytest.fixture(scope="module")
def rotations():
    return Rotation.random(4, random_state=7).as_matrix()


def assert_same(first, second, tolerance=1e-11):
    assert first.energy == pytest.approx(second.energy, rel=tolerance)
    for name in ("energies", "forces", "virial"):
        a, b = getattr(first, name), getattr(second, name)
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(np.abs(b).max(), 1.0))


@pytest.mark.parametrize("hyper", [MODERN, PAPER], ids=["modern", "paper"])
def test_layer_and_atom_agree_for_one_message_layer(hyper, small_box):
    shallow = replace(hyper, message_layers=1)
    layer, atom = (potential_of(shallow, scope) for scope in ("layer", "atom"))
    for atoms in (small_box, build_molecule("CO2"), build_molecule("CH3CH2OH")):
        assert_same(layer.compute(atoms), atom.compute(atoms))


@pytest.mark.parametrize("layers", [2, 3])
@pytest.mark.parametrize("hyper", [MODERN, PAPER], ids=["modern", "paper"])
def test_atom_is_every_atom_in_its_own_frames(hyper, layers, small_box):
    hyper = replace(hyper, message_layers=layers)
    atom, plain = potential_of(hyper, "atom"), potential_of(hyper, "none")
    energies = atom.compute(small_box).energies
    samples = atom.frames(small_box)
    expected = np.zeros(len(small_box))
    chosen = np.unique(samples.centre.numpy())[:4]
    for centre, frame, weight in zip(samples.centre, samples.frames, samples.weights, strict=True):
        if centre in chosen:
            turned = plain.compute(rotated(small_box, frame.numpy().T))
            expected[centre] += weight * turned.energies[centre]
    np.testing.assert_allclose(energies[chosen], expected[chosen], rtol=1e-11)


def test_structure_is_the_whole_in_all_frames(small_box):
    """Formulas of the paper written as loops; only the frames of single pairs are the package's."""
    from pet_driver.frames import pooled_frames

    structure, plain = potential_of(MODERN, "structure"), potential_of(MODERN, "none")
    graph = structure.graph([small_box])
    pooled, axial = pooled_frames(
        graph.padded.pad(graph.vectors),
        graph.padded.valid,
        MODERN.cutoff,
        MODERN.frames,
        graph.structure,
        1,
    )
    assert len(axial.weights) == 0
    expected = sum(
        float(w) * plain.compute(rotated(small_box, f.numpy().T)).energy
        for f, w in zip(pooled.frames, pooled.weights, strict=True)
    )
    assert structure.compute(small_box).energy == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize(
    "atoms", [COPPER, Atoms("O", [[0, 0, 0]])], ids=["one atom per cell", "one atom"]
)
def test_structure_and_atom_agree_for_a_single_environment(atoms):
    hyper = replace(MODERN, species=(8, 29))
    one, other = (potential_of(hyper, scope) for scope in ("structure", "atom"))
    assert_same(one.compute(atoms), other.compute(atoms))


@pytest.mark.parametrize("scope", ["atom", "structure"])
@pytest.mark.parametrize("hyper", [MODERN, PAPER, CONTRAST], ids=["modern", "paper", "contrast"])
def test_scopes_are_exact(hyper, scope, small_box, molecule, rotations):
    potential = potential_of(hyper, scope)
    two = build_molecule("H2")
    far = Atoms(two.numbers, two.positions[:, [2, 0, 1]] + [20.0, 3.0, 0.0])
    cases = [molecule, build_molecule("CO2"), two + far, Atoms("O", [[0, 0, 0]])]
    for atoms in [small_box, *cases] if scope == "atom" else cases:
        assert worst_change(potential, atoms, rotations).max() < 1e-10


def test_structure_of_a_box_is_exact(small_box, rotations):
    potential = potential_of(MODERN, "structure")
    assert worst_change(potential, small_box, rotations[:1]).max() < 1e-10


@pytest.mark.parametrize("scope", ["atom", "structure"])
@pytest.mark.parametrize("hyper", [MODERN, CONTRAST], ids=["modern", "contrast"])
def test_forces_and_virial_are_derivatives(hyper, scope, small_box):
    potential = potential_of(hyper, scope)
    structures = [small_box, build_molecule("CO2"), build_molecule("H2O")]
    structures[1].positions += np.random.default_rng(3).normal(size=(3, 3)) * 0.05
    rng, step = np.random.default_rng(0), 1e-5
    for atoms, prediction in zip(structures, potential.compute(structures), strict=True):
        move = rng.normal(size=atoms.positions.shape)
        strain = rng.normal(size=(3, 3))
        strain += strain.T
        ways = []
        for shift, stretch in ((step, 0.0), (0.0, step)):
            for sign in (-2, -1, 1, 2):
                copy = atoms.copy()
                copy.positions += sign * shift * move
                deform = np.eye(3) + sign * stretch * strain
                copy.positions = copy.positions @ deform
                copy.set_cell(atoms.cell.array @ deform)
                ways.append(copy)
        e = [p.energy for p in potential.compute(ways)]
        slopes = [(e[k] - 8 * e[k + 1] + 8 * e[k + 2] - e[k + 3]) / (12 * step) for k in (0, 4)]
        assert (prediction.forces * move).sum() == pytest.approx(-slopes[0], rel=1e-6)
        assert (prediction.virial * strain).sum() == pytest.approx(-slopes[1], rel=1e-6)


@pytest.mark.parametrize("scope", ["layer", "atom", "structure"])
def test_chunks_and_batches_change_nothing(scope, molecule):
    cluster = build_molecule("CH3CH2OH")
    potential = potential_of(MODERN, scope)
    parts = potential_of(MODERN, scope, chunk=3)
    together = potential.compute([molecule, cluster])
    for one, atoms in zip(together, (molecule, cluster), strict=True):
        assert_same(one, potential.compute(atoms))
        assert_same(one, parts.compute(atoms))


def test_memory_is_divided_where_it_is_short(small_box):
    """With little memory, frames are made and samples evaluated in parts."""
    whole = potential_of(MODERN, "layer").compute(small_box)
    assert_same(potential_of(MODERN, "layer", memory_share=1e-9).compute(small_box), whole)


def test_layer_is_additive_and_structure_is_not(molecule):
    far = rotated(molecule, Rotation.random(random_state=3).as_matrix())
    far.positions += [30.0, 0.0, 0.0]
    for scope in ("layer", "atom", "structure"):
        potential = potential_of(MODERN, scope)
        both, one = potential.compute([molecule + far, molecule])
        defect = abs(both.energy / (2 * one.energy) - 1.0)
        assert defect > 1e-4 if scope == "structure" else defect < 1e-10


@pytest.mark.parametrize("scope", ["layer", "atom"])
@pytest.mark.parametrize("hyper", [MODERN, CONTRAST], ids=["modern", "contrast"])
def test_parity(hyper, scope, rotations):
    """Mirror images have the same energy with `parity`, and not without it."""
    atoms = build_molecule("CH3CH2OH")
    atoms.rattle(0.1, seed=1)
    mirror = rotations[0] @ np.diag([1.0, 1.0, -1.0])
    with_parity = potential_of(hyper, scope, parity=True)
    for structure in (atoms, build_molecule("CO2"), build_molecule("H2")):
        assert worst_change(with_parity, structure, [mirror, rotations[1]]).max() < 1e-10
    without = potential_of(hyper, scope)
    assert worst_change(without, atoms, [mirror]).max() > 1e-6
    more = potential_of(hyper, scope, parity=True, extra_rotations=2)
    assert worst_change(more, atoms, [mirror, rotations[1]]).max() < 1e-10


@pytest.mark.parametrize("scope", ["layer", "atom", "structure"])
@pytest.mark.parametrize("layers", [2, 3])
@pytest.mark.parametrize("hyper", [MODERN, PAPER, CONTRAST], ids=["modern", "paper", "contrast"])
def test_atoms_beyond_neighbors_that_lie_on_a_line(hyper, layers, scope, rotations):
    """No second axis turns with the atoms beyond, so copies about the line average them out."""
    potential = potential_of(replace(hyper, message_layers=layers), scope)
    for symbols, positions in (
        ("OHOH", [[0, 0, 0], [0.97, 0, 0], [2.9, 2.0, 0], [3.2, 2.8, 0.4]]),
        ("OHO", [[0, 0, 0], [1.5, 0, 0], [1.6, 3.3, 0]]),
    ):
        atoms = Atoms(symbols, positions)
        assert worst_change(potential, atoms, rotations).max() < 1e-12


def test_the_last_neighbor_stays_an_axis_until_it_is_gone(rotations):
    """With the original code's narrow cosine cutoff it is seen until it reaches the cutoff."""
    hyper = replace(PAPER, cutoff_width=0.2, frames=CONTRAST.frames)
    pair = Atoms("OH", [[0, 0, 0], [3.4895, 0, 0]])
    assert worst_change(potential_of(hyper, "layer"), pair, rotations).max() < 1e-10


def test_gradients_are_there_in_inference_mode(molecule):
    with torch.inference_mode():
        potential = potential_of(MODERN, "layer")
        found = potential.compute(molecule)
        through = potential.symmetrization_forces(molecule)
    assert_same(found, potential_of(MODERN, "layer").compute(molecule))
    (expected,) = potential_of(MODERN, "layer").symmetrization_forces([molecule])
    np.testing.assert_allclose(through[0], expected, atol=1e-12)
    assert np.abs(expected).max() > 0.0


def test_extra_rotations_are_exact_and_the_same_in_every_call(molecule, rotations):
    potential = potential_of(MODERN, "layer", extra_rotations=5)
    assert worst_change(potential, molecule, rotations).max() < 1e-10
    again = potential_of(MODERN, "layer", extra_rotations=5)
    assert again.compute(molecule).energy == potential.compute(molecule).energy
    # Each frame six times. Were they all the same the energy would not change.
    assert len(potential.frames(molecule).weights) == 6 * len(
        potential_of(MODERN, "layer").frames(molecule).weights
    )
    assert potential.compute(molecule).energy != pytest.approx(
        potential_of(MODERN, "layer").compute(molecule).energy, rel=1e-6
    )


def test_more_rotations_bring_atom_nearer_to_the_mean(molecule):
    """The average over many orientations of the plain network is the limit."""
    plain = potential_of(MODERN, "none")
    turns = Rotation.random(400, random_state=5).as_matrix()
    energies = [p.energy for p in plain.compute([rotated(molecule, r) for r in turns])]
    mean, error = np.mean(energies), np.std(energies) / np.sqrt(len(energies))
    few, many = (
        potential_of(MODERN, "atom", extra_rotations=n).compute(molecule).energy for n in (0, 100)
    )
    assert abs(many - mean) < 4 * error
    assert abs(many - mean) < abs(few - mean)


def test_advice_about_scopes():
    trained_plain = random_checkpoint(replace(MODERN, scope="none"))
    for scope, words in {"atom": "hold approximately", "layer": "were not in training"}.items():
        with pytest.warns(UserWarning, match=words):
            Potential(trained_plain, scope=scope)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Potential(random_checkpoint(replace(MODERN, message_layers=1)), scope="atom")
    with pytest.raises(PetDriverError, match="extra_rotations is -1"):
        Potential(trained_plain, extra_rotations=-1)


def test_one_layer_may_still_exchange_messages():
    """After its only layer, as in converted models: then layer is another average than atom."""
    foreign = ForeignHyperparameters(final_combination=True)
    hyper = replace(MODERN, message_layers=1, foreign=foreign)
    with pytest.warns(UserWarning, match="messages are no longer averaged"):
        Potential(random_checkpoint(hyper), scope="atom")
    with pytest.warns(UserWarning, match="pet-driver symmetrize"):
        Potential(random_checkpoint(replace(hyper, scope="none")), scope="layer")


@pytest.mark.parametrize("options", [{"frames": "speed"}, {"extra_rotations": 2}, {"parity": True}])
def test_options_of_frames_need_a_scope_with_frames(options, molecule):
    plain = random_checkpoint(replace(MODERN, scope="none"))
    (name,) = options
    with pytest.raises(PetDriverError, match=f"{name} is .*, and scope none has no frames"):
        Potential(plain, **options)
    exact = Potential(random_checkpoint(MODERN), **options)
    assert exact.plain().compute(molecule).energy == pytest.approx(
        Potential(plain).compute(molecule).energy
    )
