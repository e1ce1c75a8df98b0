"""Pairs that an engine lists in any order, paired on the device."""

import numpy as np
import pytest
import torch
from ase.build import bulk

from helpers import MODERN
from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import random_checkpoint
from pet_driver.graph import System, find_edges
from pet_driver.parallel import ListedPairs, ResidentPairs
from pet_driver.runtime.table_sizes import MeasuredSizes


@pytest.fixture(scope="module")
def potential():
    return Potential(random_checkpoint(MODERN), dtype="float64")


@pytest.fixture
def atoms():
    """Two atoms, with many images of each within the cutoff."""
    found = bulk("C", "diamond", 3.0)
    found.positions[1] += [0.05, -0.1, 0.02]
    return found


def listed(potential, atoms):
    """All pairs, in an order at random."""
    edges = find_edges(System.from_atoms(atoms), potential.neighbor_cutoff)
    order = np.random.default_rng(3).permutation(len(edges.centre))
    species = np.searchsorted(potential.species, atoms.numbers)
    return ListedPairs(
        *map(torch.as_tensor, (species, edges.centre[order], edges.neighbor[order])),
        torch.as_tensor(edges.vectors[order]),
    )


def test_energies_and_gradients(potential, atoms):
    """Those of the structure; a later list with fewer pairs takes the place of an earlier one."""
    pairs = ResidentPairs(len(atoms), potential.neighbor_cutoff, torch.device("cpu"))
    for scale in (1.0, 1.03):
        atoms.set_cell(atoms.cell * scale, scale_atoms=True)
        expected = potential.compute(atoms)
        given = listed(potential, atoms)
        pairs.update(given)
        sizes = MeasuredSizes()
        found = potential.evaluate(pairs.graph(torch.zeros(0, 3), sizes))
        assert not sizes.wrong
        np.testing.assert_allclose(found.energies, expected.energies, rtol=0, atol=1e-11)
        np.testing.assert_allclose(found.virial, expected.virial, rtol=0, atol=1e-11)
        gradient = pairs.edge_gradients(found.edge_gradients).numpy()
        forces = np.zeros((len(atoms), 3))
        np.add.at(forces, given.centre.numpy(), gradient)
        np.add.at(forces, given.neighbor.numpy(), -gradient)
        np.testing.assert_allclose(forces, expected.forces, rtol=0, atol=1e-11)


def test_pairs_without_reversed_ones(potential, atoms):
    """Within the cutoff they are noted; at the cutoff they are left out."""
    cutoff = potential.neighbor_cutoff
    whole = listed(potential, atoms)
    for length, wrong in ((0.9 * cutoff, True), (cutoff - 1e-9, False)):
        vectors = torch.cat([whole.vectors, torch.tensor([[0.0, 0.6 * length, 0.8 * length]])])
        one_more = ListedPairs(
            whole.species,
            torch.cat([whole.centre, torch.tensor([0])]),
            torch.cat([whole.neighbor, torch.tensor([1])]),
            vectors,
        )
        pairs = ResidentPairs(len(atoms), cutoff, torch.device("cpu"))
        pairs.update(one_more)
        sizes = MeasuredSizes()
        graph = pairs.graph(torch.zeros(0, 3), sizes)
        assert sizes.wrong is wrong
        assert int(graph.padded.valid.sum()) == len(whole.centre)
