"""Neighbor lists that are used again equal those of a new search, bit for bit."""

import copy
import threading

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from pet_driver.errors import PetDriverError
from pet_driver.graph import (
    System,
    VerletCache,
    closest_pairs,
    find_edges,
    neighbor_list,
    verlet_cache,
)
from pet_driver.graph.verlet_cache import VerletList

CUTOFF, SKIN = 4.0, 0.8


def structures() -> dict[str, Atoms]:
    silicon = bulk("Si", cubic=True) * (2, 2, 1)
    triclinic = bulk("Cu")  # one atom, many images of it
    triclinic.set_cell(triclinic.cell @ [[1, 0.1, 0], [0, 1, 0.2], [0, 0, 0.9]], scale_atoms=True)
    slab = bulk("Si", cubic=True) * (2, 2, 1)
    slab.pbc = [True, True, False]
    left_handed = Atoms("Si2", [[0, 0, 0], [1.5, 1.5, 1.5]], cell=[[0, 4, 0], [4, 0, 0], [0, 0, 4]])
    left_handed.pbc = True
    molecule = Atoms("OHH", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    return {
        "bulk": silicon,
        "one atom": triclinic,
        "slab": slab,
        "left-handed": left_handed,
        "molecule": molecule,
    }


@pytest.mark.parametrize("pbc", [True, [True, True, False], False], ids=str)
def test_pairs_that_do_not_fit_into_memory_are_refused_before_the_search(monkeypatch, pbc):
    """As where nanometers are read as angstrom: the search itself would end the process."""
    monkeypatch.setattr(neighbor_list, "free_memory", lambda _: 1e8)
    crowded = bulk("H", "sc", a=0.4) * (20, 20, 20)
    crowded.pbc = pbc
    with pytest.raises(PetDriverError, match=r"have about \d{4} neighbors .* unit of length"):
        find_edges(System.from_atoms(crowded), CUTOFF)
    crowded.set_cell(crowded.cell * 5, scale_atoms=True)
    assert len(find_edges(System.from_atoms(crowded), CUTOFF).centre) > 1000


def assert_same(lists: VerletCache, atoms: Atoms, begins_batch: bool = False) -> None:
    system = System.from_atoms(atoms)
    found, expected = lists.edges(system, begins_batch), find_edges(system, CUTOFF)
    np.testing.assert_array_equal(found.centre, expected.centre)
    np.testing.assert_array_equal(found.neighbor, expected.neighbor)
    np.testing.assert_array_equal(found.reverse, expected.reverse)
    np.testing.assert_allclose(found.vectors, expected.vectors, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", structures())
def test_a_walk_through_positions_wraps_and_cells(name):
    random = np.random.default_rng(3)
    lists, atoms = VerletCache(CUTOFF, SKIN), structures()[name]
    for _ in range(60):
        atoms.positions += 0.03 * random.normal(size=(len(atoms), 3))
        strain = np.eye(3) + 0.003 * random.normal(size=(3, 3))
        if atoms.pbc.any():
            atoms.set_cell(atoms.cell @ strain, scale_atoms=True)
            # Some atoms by whole cells, as engines do.
            wraps = random.integers(-2, 3, size=(len(atoms), 3)) * atoms.pbc
            atoms.positions += np.where(random.random((len(atoms), 1)) < 0.2, wraps, 0) @ atoms.cell
        assert_same(lists, atoms)
    assert 1 <= lists.searches < 30


def test_turned_structures_need_no_new_search():
    atoms = structures()["bulk"]
    lists = VerletCache(CUTOFF, SKIN)
    for angle in (0, 30, 90, 211):
        turned = atoms.copy()
        turned.rotate(angle, (1, 2, 3), rotate_cell=True)
        assert_same(lists, turned)
    assert lists.searches == 1


def test_beads_and_replicas_in_turn_keep_their_lists():
    random = np.random.default_rng(5)
    atoms = structures()["bulk"]
    replicas = [atoms.copy() for _ in range(6)]
    for replica in replicas:  # too far apart to share a list
        replica.positions += random.normal(size=(len(atoms), 3))
    lists = VerletCache(CUTOFF, SKIN)
    for _ in range(10):
        for replica in replicas:
            replica.positions += 0.01 * random.normal(size=(len(atoms), 3))
            assert_same(lists, replica)
    assert lists.searches == len(replicas)


def test_large_batches_keep_their_lists():
    """Of more structures than are tried for one out of turn; outdated lists make room."""
    random = np.random.default_rng(3)
    atoms = structures()["molecule"]
    batch = [atoms.copy() for _ in range(300)]
    for molecule in batch:
        molecule.positions += 2.0 * random.normal(size=(len(atoms), 3))
    lists = VerletCache(CUTOFF, SKIN)

    def searches(structures):
        before = lists.searches
        for molecule in structures:
            molecule.positions += 0.001 * random.normal(size=(len(atoms), 3))
            assert_same(lists, molecule, molecule is structures[0])
        return lists.searches - before

    assert searches(batch[:64]) == 64  # a small batch before the large one
    assert searches(batch[:200]) == 136
    assert searches(batch) == 100
    assert [searches(batch) for _ in range(3)] == [0, 0, 0]
    count = len(lists._lists)
    batch[17].positions += 0.7 * SKIN / np.sqrt(3.0)
    assert [searches(batch) for _ in range(3)] == [1, 0, 0]
    assert len(lists._lists) == count


def test_many_different_structures_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(verlet_cache, "_MOST_LISTS", 128)
    lists = VerletCache(CUTOFF, SKIN)
    for distance in range(1, 301):
        assert_same(lists, Atoms("He2", [[0, 0, 0], [distance, 0, 0]]))
    assert lists.searches == 300
    assert len(lists._lists) == 128


def test_lists_that_make_room_are_not_expected_any_more(monkeypatch):
    """Of beads in turn, with room for all but the last one."""
    random = np.random.default_rng(5)
    atoms = structures()["bulk"]
    beads = [atoms.copy() for _ in range(5)]
    for bead in beads:
        bead.positions += random.normal(size=(len(atoms), 3))
    size = len(VerletList(System.from_atoms(beads[0]), CUTOFF, SKIN).centre)
    for room in np.linspace(3.5, 5.0, 7):
        monkeypatch.setattr(verlet_cache, "_MOST_PAIRS", int(room * size))
        lists = VerletCache(CUTOFF, SKIN)
        for _ in range(30):
            for bead in beads:
                bead.positions += 0.03 * random.normal(size=(len(atoms), 3))
                assert_same(lists, bead)


def test_threads_share_lists():
    lists, failed = VerletCache(CUTOFF, SKIN), []

    def walk(seed):
        random, atoms = np.random.default_rng(seed), structures()["molecule"]
        try:
            for _ in range(200):
                atoms.positions += 0.05 * random.normal(size=(len(atoms), 3))
                lists.edges(System.from_atoms(atoms))
        except PetDriverError:
            pass  # atoms met on the walk
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=walk, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert_same(copy.deepcopy(lists), structures()["molecule"])


@pytest.mark.parametrize("pbc", [(1, 0, 1), (1, 1, 0), (0, 1, 1), (1, 1, 1)])
def test_parallel_vectors_have_no_volume(pbc):
    cell = np.array([[3.0, 0, 0], [3.0, 0, 0], [-3.0, 0, 0]])
    with pytest.raises(PetDriverError, match="has no volume"):
        find_edges(System.from_atoms(Atoms("He", cell=cell, pbc=pbc)), CUTOFF)


def test_the_list_of_a_dense_cell_is_not_kept_for_a_wide_one():
    lists = VerletCache(CUTOFF, SKIN)
    for length in (2.0, 2.1, 3.0, 6.0):
        assert_same(lists, Atoms("He", cell=[length] * 3, pbc=True))
    assert lists.searches == 3


def test_errors_are_those_of_a_search():
    lists = VerletCache(CUTOFF, SKIN)
    atoms = structures()["molecule"]
    assert_same(lists, atoms)
    too_close = atoms.copy()
    too_close.positions[1] *= 0.05 / 0.96
    with pytest.raises(PetDriverError, match="angstrom apart"):
        lists.edges(System.from_atoms(too_close))
    too_close.positions[1, 0] = np.nan
    with pytest.raises(PetDriverError, match="nan"):
        lists.edges(System.from_atoms(too_close))


def test_closest_pairs_are_those_of_all_distances():
    """Periodic images count; pairs of elements are named once, and far ones not at all."""
    box = Atoms("OHHNa", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0], [0, 0, 6.9]])
    box.set_cell([8.0, 8.0, 8.0])
    box.pbc = True
    found = closest_pairs([System.from_atoms(box)])
    distances = box.get_all_distances(mic=True)
    assert found == pytest.approx(
        {
            "H-H": distances[1, 2],
            "H-O": distances[0, 1],
            "H-Na": min(distances[1, 3], distances[2, 3]),
            "O-Na": 1.1,
        }
    )
    stretched = box.copy()
    stretched.positions[1, 0] = 1.3
    both = closest_pairs([System.from_atoms(stretched), System.from_atoms(box)])
    assert both["H-O"] == found["H-O"]
