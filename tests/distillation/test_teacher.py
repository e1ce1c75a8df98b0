"""The teacher is the mean over orientations, and knows its own error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from helpers import FOREIGN, MODERN
from pet_driver.distillation.structure_files import read_structure, write_structure
from pet_driver.distillation.teacher import Teacher, TeacherLabel, group_rotations, groups_needed
from pet_driver.errors import PetDriverError
from pet_driver.evaluation.potential import Potential
from pet_driver.evaluation.rotation_error import random_rotations, rotated
from pet_driver.files.checkpoint import random_checkpoint
from pet_driver.graph import System
from plain_models import molecules, plain_model

OUTPUTS = (("mu", 1), ("alpha", 2))
LIMIT = 150  # groups


@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize(
    "hyper", [replace(MODERN, properties=OUTPUTS), FOREIGN], ids=["modern", "foreign"]
)
def test_it_is_the_mean_over_rotated_structures(hyper, parity, small_box):
    plain = Potential(random_checkpoint(replace(hyper, scope="none")), dtype="float64")
    names = [name for name, _ in hyper.properties]
    label = Teacher(plain, 2, parity, names).label(System.from_atoms(small_box), seed=3)
    rotations = group_rotations(2, 3, parity).reshape(-1, 3, 3)
    found = [plain.compute(rotated(small_box, r)) for r in rotations]
    forces = np.array([p.forces @ r for p, r in zip(found, rotations, strict=True)])
    energies = np.array([p.energy for p in found])
    assert len(rotations) == 24 * (1 + parity)
    assert label.energy == pytest.approx(energies.mean(), rel=1e-12)
    assert label.energy_noise == pytest.approx(energies.std(ddof=1), rel=1e-6)
    of_atoms = np.mean([p.energies for p in found], axis=0)
    assert np.allclose(label.energies, of_atoms, atol=1e-10)
    assert label.energies.sum() == pytest.approx(label.energy, rel=1e-10)
    assert np.allclose(label.forces, forces.mean(0), atol=1e-10)
    assert np.allclose(label.force_noise**2, forces.var(0, ddof=1).mean(-1), atol=1e-10)
    virials = [r.T @ p.virial @ r for p, r in zip(found, rotations, strict=True)]
    assert np.allclose(label.virial, np.mean(virials, axis=0), atol=1e-9)
    for name, rank in hyper.properties:
        totals = [p.total(name) @ r if rank == 1 else r.T @ p.total(name) @ r
                  for p, r in zip(found, rotations, strict=True)]  # fmt: skip
        assert np.allclose(label.properties[name], np.mean(totals, axis=0), atol=1e-10)


def test_its_error_falls_as_one_over_the_root_of_the_groups():
    """The actual deviations from the limit of many groups, and the error that labels state."""
    plain = Potential(plain_model(), dtype="float64")
    (system,) = molecules(1)
    limit = Teacher(plain, LIMIT).label(system, seed=10_000)
    for groups in (2, 8):
        labels = [Teacher(plain, groups).label(system, seed) for seed in range(16)]
        actual = np.sqrt(np.mean([(x.forces - limit.forces) ** 2 for x in labels]))
        expected = limit.force_error * np.sqrt(LIMIT / groups)
        assert actual == pytest.approx(expected, rel=0.3)
        stated = np.sqrt(np.mean([x.force_error**2 for x in labels]))
        assert stated == pytest.approx(expected, rel=0.3)
    # Groups of orientations are better than as many random ones.
    random = np.sqrt(np.mean(limit.force_noise**2) / 12)
    assert limit.force_error * np.sqrt(LIMIT) < 0.7 * random


def test_the_number_of_groups_follows_from_the_spread():
    label = Teacher(Potential(plain_model()), 4).label(molecules(1)[0], seed=0)
    assert groups_needed([label], 4, label.force_error) == 4
    assert groups_needed([label], 4, 0.5 * label.force_error) == 16
    assert groups_needed([label], 4, 10.0 * label.force_error) == 1


def test_one_group_is_an_average_without_a_known_error():
    plain = Potential(plain_model(), dtype="float64")
    (system,) = molecules(1)
    label = Teacher(plain, 1).label(system, seed=3)
    limit = Teacher(plain, LIMIT).label(system, seed=10_000)
    assert np.isnan([label.force_error, label.energy_error]).all()
    deviation = np.sqrt(np.mean((label.forces - limit.forces) ** 2))
    assert deviation < 3.0 * limit.force_error * np.sqrt(LIMIT)
    assert np.isfinite(label.force_noise).all()


def test_it_is_the_same_for_a_rotated_structure_up_to_its_error():
    """Labels of a rotated structure are rotated labels, within a few standard errors."""
    teacher = Teacher(Potential(plain_model(), dtype="float64"), 50)
    (system,) = molecules(1)
    (turn,) = random_rotations(1, 7)
    atoms = rotated(Atoms(numbers=system.numbers, positions=system.positions), turn)
    one = teacher.label(system, 0)
    two = teacher.label(System.from_atoms(atoms), 1)
    assert abs(one.energy - two.energy) < 6.0 * one.energy_error
    difference = np.sqrt(np.mean((one.forces - two.forces @ turn) ** 2))
    assert difference < 4.0 * one.force_error


def test_labels_in_files(tmp_path):
    label = TeacherLabel(
        energy=1.5,
        energies=np.array([0.5, 0.25, 0.75]),
        forces=np.ones((3, 3)),
        virial=np.eye(3),
        energy_noise=0.1,
        force_noise=np.arange(3.0),
        energy_error=0.01,
        force_error=0.02,
        properties={"mu": np.arange(3.0)},
    )
    (system,) = molecules(1)
    system.charge, system.spin = np.int64(1), 2
    write_structure(tmp_path / "a" / "x.safetensors", system, label, np.full((3, 3), 2.0))
    found, read, momenta = read_structure(tmp_path / "a" / "x.safetensors")
    assert (found.positions == system.positions).all()
    assert (found.charge, found.spin) == (1, 2)
    assert (momenta == 2.0).all()
    assert read is not None
    assert read.energy == 1.5
    assert (read.energies == label.energies).all()
    assert (read.properties["mu"] == label.properties["mu"]).all()
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(PetDriverError, match="remove it and start again"):
        read_structure(tmp_path / "broken.safetensors")
