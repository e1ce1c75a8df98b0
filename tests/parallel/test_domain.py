"""One rank's share of a structure, in a single process."""

import numpy as np
import pytest

from pet_driver import PetDriverError
from pet_driver.parallel import ExchangeDomain


def unrolled(atoms, reach):
    """A periodic box as an engine hands it out: ids, positions of atoms and then of ghosts."""
    n = len(atoms)
    shifts = np.array(list(np.ndindex(5, 5, 5))) - 2
    shifts = shifts[np.abs(shifts).any(axis=1)]
    ghosts = (atoms.positions[None] + (shifts @ atoms.cell.array)[:, None]).reshape(-1, 3)
    near = np.linalg.norm(ghosts[:, None] - atoms.positions[None], axis=2).min(axis=1) < reach
    ids = np.concatenate([np.arange(n), np.tile(np.arange(n), len(shifts))[near]])
    return ids, np.concatenate([atoms.positions, ghosts[near]])


def test_domain_of_one_process_equals_the_potential(potential, small_box):
    mpi = pytest.importorskip("mpi4py.MPI", exc_type=ImportError)
    n = len(small_box)
    ids, positions = unrolled(small_box, potential.cutoff + 0.6)
    kinds = np.searchsorted(potential.species, small_box.numbers[ids])
    domain = ExchangeDomain(mpi.COMM_SELF, potential.cutoff)
    domain.update(ids, kinds, positions, n)
    found, expected = potential.compute_domain(domain), potential.compute(small_box)
    assert found.energy == pytest.approx(expected.energy, rel=1e-12)
    np.testing.assert_allclose(found.forces, expected.forces, atol=1e-11)
    np.testing.assert_allclose(found.virial, expected.virial, atol=1e-10)
    assert domain.rebuilds == 1
    domain.update(ids, kinds, positions + 0.01, n)
    assert domain.rebuilds == 1


def test_ghosts_that_do_not_reach_are_noticed(potential, small_box):
    mpi = pytest.importorskip("mpi4py.MPI", exc_type=ImportError)
    ids, positions = unrolled(small_box, potential.cutoff + 0.6)
    kept = np.arange(len(ids)) < len(small_box) + 60
    kinds = np.searchsorted(potential.species, small_box.numbers[ids])
    domain = ExchangeDomain(mpi.COMM_SELF, potential.cutoff)
    with pytest.raises(PetDriverError, match="comm_modify cutoff"):
        domain.update(ids[kept], kinds[kept], positions[kept], len(small_box))


def opened(potential, atoms, reach, halo="exchange"):
    mpi = pytest.importorskip("mpi4py.MPI", exc_type=ImportError)
    ids, positions = unrolled(atoms, reach)
    kinds = np.searchsorted(potential.species, atoms.numbers[ids])
    domain = potential.open_domain(mpi.COMM_SELF, halo)
    domain.update(ids, kinds, positions, len(atoms))
    return domain, ids, kinds, positions


def test_wide_halo_equals_the_potential(potential, small_box):
    domain, *_ = opened(potential, small_box, 2 * potential.cutoff + 0.6, "wide")
    found, expected = potential.compute_domain(domain), potential.compute(small_box)
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
    domain, ids, kinds, positions = opened(potential, small_box, depth * potential.cutoff, halo)
    np.testing.assert_allclose(
        potential.compute_domain(domain).forces, potential.compute(small_box).forces, atol=1e-11
    )
    domain.update(ids, kinds, positions + 1e-3, len(small_box))
    assert domain.rebuilds == (2 if halo == "wide" else 1)


@pytest.mark.parametrize("halo", ["exchange", "wide"])
def test_change_of_element_is_noticed(potential, small_box, halo):
    domain, ids, kinds, positions = opened(potential, small_box, 2 * potential.cutoff + 0.6, halo)
    changed = small_box.copy()
    changed.numbers[3] = 6
    kinds = np.searchsorted(potential.species, changed.numbers[ids])
    domain.update(ids, kinds, positions, len(small_box))
    found, expected = potential.compute_domain(domain), potential.compute(changed)
    np.testing.assert_allclose(found.energies, expected.energies, atol=1e-12)


def test_ids_must_be_unique(potential, small_box):
    domain, ids, kinds, positions = opened(potential, small_box, potential.cutoff + 0.6)
    with pytest.raises(PetDriverError, match="occurs more than once"):
        domain.update(np.zeros_like(ids), kinds, positions, len(small_box))


def test_self_tests(potential, small_box):
    domain, *_ = opened(potential, small_box, potential.cutoff + 0.6)
    assert "equal at both ends" in domain.self_test(potential.device)
    domain.plan.reverse = np.roll(domain.plan.reverse, 1)
    with pytest.raises(PetDriverError, match="ranks disagree"):
        domain.self_test(potential.device)


def test_unknown_halo(potential):
    mpi = pytest.importorskip("mpi4py.MPI", exc_type=ImportError)
    with pytest.raises(PetDriverError, match="halo is 'deep'; choose one of exchange, wide"):
        potential.open_domain(mpi.COMM_SELF, "deep")
