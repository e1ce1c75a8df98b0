"""What is refused of ML-IAP, and ids from its exchange of values per atom."""

import numpy as np
import pytest
import torch

from pet_driver import PetDriverError
from pet_driver.engines.lammps.mliap_data import MliapPairs, check_interface, exchanged_ids


class Data:
    """Attributes as of LAMMPS' class; three atoms, two of which have ghosts."""

    nlistatoms, natomneigh, ntotal, nlocal, npairs = 3, 3, 5, 3, 4
    elems = np.array([0, -1, 1, 0, 1], dtype=np.int32)
    pair_i = np.array([2, 0, 0, 2], dtype=np.int32)
    jatoms = np.array([3, 4, 2, 0], dtype=np.int32)
    rij = np.arange(12.0).reshape(4, 3)

    def forward_exchange(self, source, target, _columns):
        target.copy_(source)
        target[3:] = source[torch.tensor([0, 2])]


class Old:
    """An interface without lists of ghosts."""

    elems = rij = None


def kokkos(data):
    return type("MLIAPDataPy", (type(data),), {"__module__": "mliap_unified_couple_kokkos"})()


def test_ids_of_ghosts_are_those_of_their_atoms():
    pytest.importorskip("mpi4py.MPI", exc_type=ImportError)
    ids = exchanged_ids(kokkos(Data()))
    assert len(set(ids[:3])) == 3
    assert ids[3] == ids[0]
    assert ids[4] == ids[2]


def test_pairs_are_sorted_and_know_nothing_of_atoms_that_are_not_seen():
    pairs = MliapPairs(Data())
    assert pairs.n_local == 2
    assert pairs.species.tolist() == [0, 1, 0, 1]
    edges = list(zip(pairs.centre.tolist(), pairs.neighbor.tolist(), strict=True))
    assert edges == [(0, 1), (0, 3), (1, 0), (1, 2)]
    np.testing.assert_array_equal(pairs.per_pair(pairs.vectors, np.arange(4)).numpy(), Data.rij)
    np.testing.assert_array_equal(pairs.per_local_atom(np.array([5.0, 7.0])), [5.0, 0.0, 7.0])


@pytest.mark.parametrize(
    ("data", "version", "sentence"),
    [
        (Old(), 20260704, "lacks nlistatoms"),
        (kokkos(Data()), 20240829, "has no exchange in ML-IAP with KOKKOS"),
        (kokkos(Data()), 20251210, r"is wrong \(lammps#4808\)"),
    ],
)
def test_interfaces_that_are_refused(data, version, sentence):
    with pytest.raises(PetDriverError, match=sentence):
        check_interface(data, version)


def test_interfaces_that_are_taken():
    check_interface(Data(), 20251210)
    for version in (20250722, 20260704):
        check_interface(kokkos(Data()), version)
    with pytest.warns(UserWarning, match="the version of LAMMPS is unknown"):
        check_interface(kokkos(Data()), None)
