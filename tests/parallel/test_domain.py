"""One rank's share of a structure, in a single process."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers import FOREIGN_PAPER, MODERN
from pet_driver import PetDriverError, Potential
from pet_driver.files.checkpoint import random_checkpoint
from pet_driver.parallel import ExchangeDomain, PairDomain


def unrolled(atoms, depth):
    """A periodic box as an engine hands it out: ids, positions of atoms and then of ghosts."""
    n = len(atoms)
    shifts = np.array(list(np.ndindex(5, 5, 5))) - 2
    shifts = shifts[np.abs(shifts).any(axis=1)]
    ghosts = (atoms.positions[None] + (shifts @ atoms.cell.array)[:, None]).reshape(-1, 3)
    in_halo = np.linalg.norm(ghosts[:, None] - atoms.positions[None], axis=2).min(axis=1) < depth
    ids = np.concatenate([np.arange(n), np.tile(np.arange(n), len(shifts))[in_halo]])
    return ids, np.concatenate([atoms.positions, ghosts[in_halo]])


def test_domain_of_one_process_equals_the_potential(potential, small_box):
    mpi = pytest.importorskip("mpi4py.MPI", exc_type=ImportError)
    n = len(small_box)
    ids, positions = unrolled(small_box, potential.cutoff + 0.6)
    species = np.searchsorted(potential.species, small_box.numbers[ids])
    domain = ExchangeDomain(mpi.COMM_SELF, potential.cutoff)
    graph = domain.update(ids, species, positions, n)
    found, expected = potential.evaluate(graph), potential.compute(small_box)
    assert found.energy == pytest.approx(expected.energy, rel=1e-12)
    np.testing.assert_allclose(found.forces, expected.forces, atol=1e-11)
    np.testing.assert_allclose(found.virial, expected.virial, atol=1e-10)
    assert domain.rebuilds == 1
    domain.update(ids, species, positions + 0.01, n)
    assert domain.rebuilds == 1


def test_ghosts_that_do_not_reach_are_noticed(potential, small_box):
    mpi = pytest.importorskip("mpi4py.MPI", exc_type=ImportError)
    ids, positions = unrolled(small_box, potential.cutoff + 0.6)
    kept = np.arange(len(ids)) < len(small_box) + 60
    species = np.searchsorted(potential.species, small_box.numbers[ids])
    domain = ExchangeDomain(mpi.COMM_SELF, potential.cutoff)
    with pytest.raises(PetDriverError, match="comm_modify cutoff"):
        domain.update(ids[kept], species[kept], positions[kept], len(small_box))


def opened(potential, atoms, depth, halo="exchange"):
    mpi = pytest.importorskip("mpi4py.MPI", exc_type=ImportError)
    ids, positions = unrolled(atoms, depth)
    species = np.searchsorted(potential.species, atoms.numbers[ids])
    domain = potential.open_domain(mpi.COMM_SELF, halo)
    graph = domain.update(ids, species, positions, len(atoms))
    return domain, graph, (ids, species, positions)


def test_wide_halo_equals_the_potential(potential, small_box):
    _, graph, _ = opened(potential, small_box, 2 * potential.cutoff + 0.6, "wide")
    found, expected = potential.evaluate(graph), potential.compute(small_box)
    np.testing.assert_allclose(found.energies, expected.energies, atol=1e-12)
    np.testing.assert_allclose(found.forces, expected.forces, atol=1e-11)
    np.testing.assert_allclose(found.virials, expected.virials, atol=1e-10)


def test_wide_halo_that_is_too_narrow_is_noticed(potential, small_box):
    with pytest.raises(PetDriverError, match=r"comm_modify cutoff 8\.00"):
        opened(potential, small_box, potential.cutoff + 0.6, "wide")


@pytest.mark.parametrize("halo", ["exchange", "wide"])
def test_skin_shrinks_to_what_the_ghosts_allow(potential, small_box, halo):
    """An engine's own skin may be used up: what is listed then serves for one step only."""
    depth = 2 if halo == "wide" else 1
    domain, graph, (ids, species, positions) = opened(
        potential, small_box, depth * potential.cutoff, halo
    )
    np.testing.assert_allclose(
        potential.evaluate(graph).forces, potential.compute(small_box).forces, atol=1e-11
    )
    domain.update(ids, species, positions + 1e-3, len(small_box))
    assert domain.rebuilds == (2 if halo == "wide" else 1)


@pytest.mark.parametrize("halo", ["exchange", "wide"])
def test_change_of_element_is_noticed(potential, small_box, halo):
    domain, graph, (ids, species, positions) = opened(
        potential, small_box, 2 * potential.cutoff + 0.6, halo
    )
    changed = small_box.copy()
    changed.numbers[3] = 6
    species = np.searchsorted(potential.species, changed.numbers[ids])
    graph = domain.update(ids, species, positions, len(small_box))
    found, expected = potential.evaluate(graph), potential.compute(changed)
    np.testing.assert_allclose(found.energies, expected.energies, atol=1e-12)


def test_ids_must_be_unique(potential, small_box):
    domain, _, (ids, species, positions) = opened(potential, small_box, potential.cutoff + 0.6)
    with pytest.raises(PetDriverError, match="occurs more than once"):
        domain.update(np.zeros_like(ids), species, positions, len(small_box))


def test_self_tests(potential, small_box):
    domain, graph, _ = opened(potential, small_box, potential.cutoff + 0.6)
    assert "equal at both ends" in domain.self_test(graph)
    exchange = replace(graph.exchange, reverse=graph.exchange.reverse.roll(1))
    with pytest.raises(PetDriverError, match="ranks disagree"):
        domain.self_test(replace(graph, exchange=exchange))


def test_unknown_halo(potential):
    mpi = pytest.importorskip("mpi4py.MPI", exc_type=ImportError)
    with pytest.raises(PetDriverError, match="halo is 'deep'; choose one of exchange, wide"):
        potential.open_domain(mpi.COMM_SELF, "deep")


@pytest.mark.parametrize("scope", ["none", "layer", "atom"])
def test_one_layer_with_cutoffs_of_atoms(small_box, scope):
    """In scope atom the cutoffs are differentiated twice, so edges are exchanged more often."""
    checkpoint = random_checkpoint(replace(FOREIGN_PAPER, message_layers=1, scope="layer"))
    potential = Potential(checkpoint, dtype="float64", scope=scope)
    _, graph, _ = opened(potential, small_box, potential.neighbor_cutoff + 0.6)
    found, expected = potential.evaluate(graph), potential.compute(small_box)
    np.testing.assert_allclose(found.forces, expected.forces, atol=1e-11)
    np.testing.assert_allclose(found.virial, expected.virial, atol=1e-10)


@pytest.mark.parametrize("halo", ["exchange", "wide"])
def test_after_a_failure_edges_are_listed_anew(potential, small_box, halo):
    """Edges listed before the failure belong to other atoms, though these have not moved since."""
    domain, _, (ids, species, positions) = opened(
        potential, small_box, 2 * potential.cutoff + 0.6, halo
    )
    kept = np.arange(len(ids)) < len(small_box) + 60
    for _ in range(2):
        with pytest.raises(PetDriverError, match="comm_modify cutoff"):
            domain.update(ids[kept], species[kept], positions[kept], len(small_box))


@pytest.mark.parametrize("scope", ["none", "layer", "atom"])
@pytest.mark.parametrize("halo", ["exchange", "wide"])
def test_rank_without_atoms_has_empty_outputs(scope, halo):
    mpi = pytest.importorskip("mpi4py.MPI", exc_type=ImportError)
    checkpoint = random_checkpoint(replace(MODERN, properties=(("dipole", 1), ("shift", 2))))
    potential = Potential(checkpoint, dtype="float64", scope=scope)
    none = np.zeros(0, dtype=np.int64)
    graph = potential.open_domain(mpi.COMM_SELF, halo).update(none, none, np.zeros((0, 3)), 0)
    found = potential.evaluate(graph)
    assert (found.energy, found.forces.shape) == (0.0, (0, 3))
    assert found.vectors["dipole"].shape == (0, 3)
    assert found.tensors["shift"].shape == (0, 3, 3)


def test_ids_of_listed_pairs_must_be_unique(potential):
    mpi = pytest.importorskip("mpi4py.MPI", exc_type=ImportError)
    zeros = np.zeros(2, dtype=np.int64)
    edges = np.array([0, 1]), np.array([1, 0])
    vectors = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]], dtype=torch.float64)
    with pytest.raises(PetDriverError, match="occurs more than once"):
        PairDomain(mpi.COMM_SELF, potential.cutoff).follow(zeros, zeros, 2, edges, vectors)
