"""Units, signs, missing labels, several files: the same physics, written in different ways."""

import re

import ase.io
import numpy as np
import pytest
import torch
from ase import units
from ase.build import fcc111, molecule

from labelled import crystals, molecules
from pet_driver import PetDriverError
from pet_driver.graph import System
from pet_driver.model import Hyperparameters
from pet_driver.training.baseline import fit_baseline, force_scale
from pet_driver.training.batches import Batches
from pet_driver.training.data import Frame, read_frames, read_split, thinned
from pet_driver.training.frame_pairs import displacements
from pet_driver.training.label_consistency import inconsistencies
from pet_driver.training.labels import Labels
from pet_driver.training.options import DataOptions
from pet_driver.training.scales import Scales
from pet_driver.training.start import frames_with_all_species

KEYS = {"energy_key": "E", "forces_key": "F", "stress_key": "S"}


@pytest.fixture(scope="module")
def solids():
    return crystals(12)


def written(path, frames):
    ase.io.write(path, frames, format="extxyz")
    return path


def read(tmp_path, frames, **options):
    path = written(tmp_path / "data.xyz", frames)
    return read_frames(path, DataOptions("data.xyz", **{**KEYS, **options}))


@pytest.mark.parametrize(
    ("options", "energy", "length", "stress"),
    [
        ({}, 1.0, 1.0, lambda s, _: s),
        ({"energy_unit": "Hartree", "length_unit": "bohr"}, units.Hartree, units.Bohr, None),
        ({"energy_unit": "kcal/mol"}, units.kcal / units.mol, 1.0, None),
        ({"stress_unit": "GPa"}, 1.0, 1.0, lambda s, _: s / units.GPa),
        ({"stress_unit": "kbar", "stress_sign": -1}, 1.0, 1.0, lambda s, _: -s * 10 / units.GPa),
        ({"stress_kind": "virial"}, 1.0, 1.0, lambda s, v: -s * v),
        (
            {"stress_kind": "virial", "stress_unit": "kJ/mol"},
            1.0,
            1.0,
            lambda s, v: -s * v / (units.kJ / units.mol),
        ),
        ({}, 1.0, 1.0, lambda s, _: s.ravel()),
        ({}, 1.0, 1.0, lambda s, _: s[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]),
    ],
    ids=["plain", "atomic", "kcal", "GPa", "kbar", "virial", "virial in kJ/mol", "nine", "Voigt"],
)
def test_labels_in_other_units_are_the_same(tmp_path, solids, options, energy, length, stress):
    other = []
    for atoms in solids[:3]:
        copy = atoms.copy()
        copy.set_cell(atoms.cell / length, scale_atoms=True)
        copy.info["E"] /= energy
        copy.arrays["F"] *= length / energy
        given = atoms.info["S"] * length**3 / energy
        copy.info["S"] = given if stress is None else stress(given, atoms.get_volume())
        other.append(copy)
    found = read(tmp_path, other, **options)
    for frame, atoms in zip(found, solids, strict=False):
        assert frame.labels.energy == pytest.approx(atoms.info["E"])
        np.testing.assert_allclose(frame.labels.forces, atoms.arrays["F"], atol=1e-6)
        np.testing.assert_allclose(frame.labels.stress, atoms.info["S"], atol=1e-7)
        np.testing.assert_allclose(frame.system.positions, atoms.positions, atol=1e-6)


def test_missing_labels(tmp_path, solids):
    frames = [atoms.copy() for atoms in solids[:4]]
    del frames[1].arrays["F"], frames[2].info["S"]
    with pytest.raises(PetDriverError, match=r"frame 1 of .* has no 'F'; it has .*; correct the"):
        read(tmp_path, frames)
    found = read(tmp_path, frames, may_lack=("forces", "stress"))
    assert [f.labels.forces is None for f in found] == [False, True, False, False]
    assert [f.labels.stress is None for f in found] == [False, False, True, False]


def test_several_files_and_given_sets(tmp_path):
    water = molecules(9)
    for name, part in {"a": water[:4], "b": water[4:6], "v": water[6:8], "t": water[8:]}.items():
        written(tmp_path / f"{name}.xyz", part)
    options = DataOptions(("a.xyz", "b.xyz"), validation="v.xyz", test=("t.xyz",))
    split = read_split(tmp_path, options)
    assert [len(p) for p in (split.training, split.validation, split.test)] == [6, 2, 1]
    assert split.indices()["training"] == {"a.xyz": [0, 1, 2, 3], "b.xyz": [0, 1]}


def test_files_of_the_same_name_are_told_apart(tmp_path):
    """Edges of a frame are kept, but not for a frame of another folder."""
    frames = []
    for seed, folder in enumerate(("a", "b@300K")):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder / "data.xyz", molecules(2, seed))
    names = ("a/data.xyz", "b@300K/data.xyz")
    split = read_split(tmp_path, DataOptions(names, validation=0, test=0))
    assert split.indices()["training"] == {name: [0, 1] for name in names}
    hyper = Hyperparameters(species=(1, 8), cutoff=3.0)
    batches = Batches(hyper, Scales([0.0, 0.0], 1.0), torch.device("cpu"))
    for frame in split.training:
        graph, _ = batches.make([frame])
        frames.append(np.sort(graph.vectors.norm(dim=1).numpy()))
    for frame, lengths in zip(split.training, frames, strict=True):
        distances = frame.system.to_atoms().get_all_distances()
        np.testing.assert_allclose(lengths, np.sort(distances[distances > 0.0]), rtol=1e-12)


def test_some_frames_are_never_held_out(tmp_path):
    written(tmp_path / "data.xyz", molecules(9))
    before = read_split(tmp_path, DataOptions("data.xyz", validation=2, test=3, seed=5)).indices()
    kept = (before["test"][0], before["validation"][1], before["training"][0])
    options = DataOptions("data.xyz", validation=2, test=3, seed=5, never_held_out=kept)
    after = read_split(tmp_path, options).indices()
    assert after["test"] == before["test"][1:]
    assert after["validation"] == before["validation"][:1]
    assert after["training"] == sorted([*before["training"], *kept[:2]])
    options = DataOptions("data.xyz", validation=2, test=3, never_held_out=(9,))
    with pytest.raises(PetDriverError, match="names frame 9 of 9"):
        read_split(tmp_path, options)


def test_frames_for_a_baseline_have_energies():
    """Also where every second frame, or the only one with an element, has none."""
    some = [
        Frame(System.from_atoms(atoms), Labels(-1.0 if k % 2 else None, None, None, {}), k)
        for k, atoms in enumerate(molecules(420))
    ]
    chosen = frames_with_all_species(some)
    assert len(chosen) == 200
    assert all(frame.labels.energy is not None for frame in chosen)
    evenly = np.diff([frame.index for frame in chosen])
    assert set(evenly) == {2, 4}


@pytest.mark.parametrize(("total", "most"), [(39, 20), (40, 20), (5, 20), (0, 3)])
def test_chosen_frames_are_spread_over_all(total, most):
    chosen = thinned(list(range(total)), most)
    assert len(chosen) == min(total, most)
    if total:
        assert chosen[0] == 0
        assert total - chosen[-1] <= max(2 * total // most, 1)


def test_baseline_of_one_composition_explains_it(tmp_path):
    """H2O alone: the counts have rank one."""
    path = written(tmp_path / "data.xyz", molecules(6))
    frames = read_frames(path, DataOptions("data.xyz"))
    h, o = fit_baseline(frames, (1, 8))
    assert 2 * h + o == pytest.approx(np.mean([f.labels.energy for f in frames]))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, None),
        ({"stress_sign": -1}, "stress is inconsistent.*opposite sign|it falls as the volume grows"),
        ({"stress_unit": "GPa"}, "stress is (inconsistent with the energies|implausible)"),
        ({"forces_unit": "Hartree/bohr"}, "forces are inconsistent with the energies.* 0.0"),
        (
            {"energy_unit": "Hartree", "forces_unit": "eV/angstrom"},
            "forces are inconsistent with the energies.* 2.*as if the unit were Hartree/angstrom",
        ),
    ],
    ids=["right", "sign", "GPa", "forces", "energy"],
)
def test_wrong_units_trigger_a_warning(tmp_path, options, sentence):
    frames = crystals(40, seed=3)
    # Forces are tested among frames of the same cell.
    for k, atoms in enumerate(crystals(20, seed=4)):
        frames[k].set_cell(frames[0].cell, scale_atoms=False)
        frames[k].positions = atoms.positions
    frames = _relabelled(frames)
    found = inconsistencies(read(tmp_path, frames, **options))
    if sentence is None:
        assert found == []
    else:
        assert any(re.search(sentence, line) for line in found), found


def _relabelled(frames):
    from ase.calculators.lj import LennardJones

    for atoms in frames:
        atoms.calc = LennardJones(sigma=3.4, epsilon=0.2, rc=6.0, smooth=True)
        labels = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(voigt=False)
        atoms.calc = None
        atoms.info["E"], atoms.arrays["F"], atoms.info["S"] = labels
    return frames


def test_forces_of_the_wrong_sign_trigger_a_warning(tmp_path):
    frames = molecules(40)
    path = written(tmp_path / "data.xyz", frames)
    found = read_frames(path, DataOptions("data.xyz"))
    assert inconsistencies(found) == []
    for frame in found:
        frame.labels.forces *= -1.0
    (sentence,) = inconsistencies(found)
    assert "the forces are inconsistent with the energies: their work has the opposite" in sentence


@pytest.mark.parametrize(
    ("factor", "sentence"),
    [(1.0, None), (-1.0, "sign of a pressure: it falls"), (1e4, "implies a bulk modulus of")],
)
def test_stress_without_forces_is_compared_with_the_volume(tmp_path, factor, sentence):
    frames = crystals(40, seed=3)
    for atoms in frames:
        atoms.info["S"] *= factor
        del atoms.arrays["F"]
    found = inconsistencies(read(tmp_path, frames, may_lack=("forces",)))
    assert len(found) == (sentence is not None)
    assert sentence is None or sentence in found[0]


def test_advice_on_the_sign_of_stresses_is_another_sign(tmp_path):
    frames = crystals(40)
    for sign in (1, -1):
        for atoms in frames:
            atoms.info["S"] *= -1.0
        found = inconsistencies(read(tmp_path, frames, stress_sign=sign), sign)
        assert [x for x in found if x.endswith(f"set data.stress_sign: {-sign}")]


def test_wrapped_positions_of_a_slab():
    """Along periodic directions an atom moves to its nearest image, along others it does not."""
    slab = fcc111("Cu", (2, 2, 2), vacuum=6.0)
    slab.pbc = (True, True, False)
    moved = slab.copy()
    moved.positions += [-0.3, -0.2, 0.4]
    moved.positions[0, 2] += 30.0
    wanted = moved.positions - slab.positions
    moved.wrap()
    frames = [
        Frame(System.from_atoms(x), Labels(0.0, None, None), k) for k, x in enumerate((slab, moved))
    ]
    found, _ = displacements(*frames)
    np.testing.assert_allclose(found, wanted, atol=1e-10)


def test_rounding_of_energies_is_no_scale():
    """Energies that the baseline explains, without forces."""
    frames = [
        Frame(System.from_atoms(molecule(name)), Labels(energy, None, None), k)
        for k, (name, energy) in enumerate(2 * [("H2O", -1.0), ("CH4", -2.0), ("NH3", -3.0)])
    ]
    species = (1, 6, 7, 8)
    assert force_scale(frames, fit_baseline(frames, species), species) == 1.0
