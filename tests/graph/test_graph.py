"""Graphs from several sources, all evaluated in the same way."""

import dataclasses

import numpy as np
import pytest
import torch

from pet_driver.graph import Graph, System, find_edges, species_indices
from pet_driver.parallel import receptive_graph


def test_a_graph_is_immutable(potential, small_box):
    graph = potential.graph([small_box])
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.vectors = graph.vectors + 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.padded.slots = graph.padded.slots + 1


def test_one_graph_of_several_structures(potential, small_box, molecule):
    graph = potential.graph([small_box, molecule])
    whole = potential.evaluate(graph)
    parts = potential.compute([small_box, molecule])
    assert whole.energy == pytest.approx(sum(p.energy for p in parts), rel=1e-14)
    np.testing.assert_array_equal(whole.forces, np.concatenate([p.forces for p in parts]))
    for found, expected in zip(whole.split(graph.sizes), parts, strict=True):
        np.testing.assert_array_equal(found.virial, expected.virial)


def test_edges_that_an_engine_lists(potential, molecule):
    """The pairs of all atoms, as ML-IAP lists them, with two local atoms and a ghost of none."""
    system = System.from_atoms(molecule)
    edges = find_edges(system, potential.neighbor_cutoff)
    species = species_indices(system.numbers, potential.species)
    graph = receptive_graph(
        2,
        potential.hyper.depth,
        species,
        (edges.centre, edges.neighbor),
        torch.as_tensor(edges.vectors),
    )
    assert isinstance(graph, Graph)
    found, expected = potential.evaluate(graph), potential.compute(molecule)
    np.testing.assert_allclose(found.energies, expected.energies[:2], rtol=1e-13)
    # The gradient on listed edges is what an engine makes forces of.
    assert found.edge_gradients.shape == (len(graph.listed), 3)


def test_other_vectors_make_another_graph(potential, molecule):
    graph = potential.graph([molecule])
    stretched = graph.with_vectors(1.01 * graph.vectors)
    molecule = molecule.copy()
    molecule.positions *= 1.01
    found, expected = potential.evaluate(stretched), potential.compute(molecule)
    assert found.energy == pytest.approx(expected.energy, rel=1e-12)
    assert potential.evaluate(graph).energy != pytest.approx(expected.energy, rel=1e-6)
