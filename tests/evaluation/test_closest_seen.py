"""Atoms that are closer than any in the training data are told, once for each pair of elements."""

import dataclasses
import warnings

import numpy as np
import pytest
from ase import Atoms

from helpers import MODERN
from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import random_checkpoint
from pet_driver.model import ForeignHyperparameters


@pytest.fixture
def potential():
    """A model of H, C and O that has seen H-O and O-O, not H-H."""
    checkpoint = random_checkpoint(MODERN)
    card = {"closest_pairs_angstrom": {"H-O": 0.9, "O-O": 2.3}}
    return Potential(dataclasses.replace(checkpoint, card=card), dtype="float64")


def told(potential, structures):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        potential.compute(structures)
    return [str(one.message) for one in caught]


def water(oh=0.96, hh=1.5):
    return Atoms("OHH", [[0, 0, 0], [oh, 0, 0], [oh - 0.01, hh, 0]])


def test_what_the_data_have_is_no_warning(potential):
    pair = water() + Atoms("O", [[0, 0, 2.4]])
    assert told(potential, [water(), pair, Atoms("H2", [[0, 0, 0], [0, 0, 0.3]])]) == []


def test_each_pair_of_elements_is_told_once(potential):
    """The closest one of a batch, through periodic images too."""
    image = Atoms("O", [[0, 0, 0]], cell=np.diag([2.2, 9.0, 9.0]), pbc=True)
    found = told(potential, [water(0.85), water(0.8), image])
    assert sorted(sentence[:34] for sentence in found) == [
        "atoms H-O are 0.80 angstrom apart,",
        "atoms O-O are 2.20 angstrom apart,",
    ]
    assert told(potential, [water(0.7), image]) == []


def test_a_model_that_repels_needs_no_further_repulsion(potential):
    (advice,) = told(potential, water(0.85))
    assert advice.endswith("check the structure, or add a repulsion of nuclei")
    foreign = ForeignHyperparameters(zbl_radii=(0.3, 0.7, 0.6))
    checkpoint = random_checkpoint(dataclasses.replace(MODERN, foreign=foreign))
    repelling = dataclasses.replace(checkpoint, card=potential.card)
    (advice,) = told(Potential(repelling, dtype="float64"), water(0.85))
    assert advice.endswith("forces there are extrapolated; check the structure")


def test_a_model_without_the_distances_says_nothing():
    checkpoint = random_checkpoint(MODERN)
    assert told(Potential(checkpoint, dtype="float64"), [water(0.3)]) == []
