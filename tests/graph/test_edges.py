import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list

from pet_driver import PetDriverError
from pet_driver.graph import ChargeAndSpin, System, find_edges, species_indices


def edges_of(atoms, cutoff=4.0):
    return find_edges(System.from_atoms(atoms), cutoff)


@pytest.mark.parametrize("pbc", [(1, 1, 1), (1, 0, 1), (0, 0, 0)])
@pytest.mark.parametrize("displacement", [0.0, 30.0])
def test_edges_equal_those_of_ase(small_box, pbc, displacement):
    atoms = small_box.copy()
    atoms.pbc = pbc
    # Atoms that have left the cell along periodic directions are the same atoms.
    images = np.random.default_rng(0).integers(-2, 3, size=(len(atoms), 3)) * np.array(pbc)
    atoms.positions += np.sign(displacement) * images @ atoms.cell.array
    edges = edges_of(atoms)
    i, j, vectors = neighbor_list("ijD", atoms, 4.0)

    def sorted_table(*columns):
        table = np.column_stack([c.round(8) for c in columns]) + 0.0
        return table[np.lexsort(table.T[::-1])]

    expected = sorted_table(i, j, *vectors.T)
    np.testing.assert_allclose(
        sorted_table(edges.centre, edges.neighbor, *edges.vectors.T), expected
    )


def test_reverse_of_an_edge_is_its_opposite(small_box):
    edges = edges_of(small_box, 7.0)
    np.testing.assert_array_equal(edges.centre[edges.reverse], edges.neighbor)
    np.testing.assert_allclose(edges.vectors[edges.reverse], -edges.vectors, atol=1e-12)
    np.testing.assert_array_equal(edges.reverse[edges.reverse], np.arange(len(edges.reverse)))


def test_left_handed_cell(small_box):
    mirrored = small_box.copy()
    mirrored.set_cell(small_box.cell.array * [1, 1, -1])
    mirrored.positions[:, 2] *= -1
    assert len(edges_of(mirrored).centre) == len(edges_of(small_box).centre)


@pytest.mark.parametrize(
    ("atoms", "sentence"),
    [
        (Atoms("OO", [[0, 0, 0], [0, 0, 0.05]]), "0.05 angstrom apart"),
        (Atoms("OO", [[0, 0, 0], [0, 0, np.nan]]), "the position of atom 1"),
        (Atoms("O", [[0, 0, 0]], pbc=True), "direction 0 is periodic"),
        (Atoms("O", [[0, 0, 0]], cell=[[1, 0, 0], [1, 0, 0], [0, 0, 1]], pbc=True), "no volume"),
        (
            Atoms("OO", [[0, 0, 0], [0, 6e9, 0]], cell=[2, 2, 2], pbc=True),
            r"atom 1 .* 3\.0e\+09 cells",
        ),
        (Atoms("OO", [[0, 0, 0], [0, 1e7, 0]]), r"is 1\.0e\+07 angstrom long"),
        (Atoms("OO", [[0, 0, 0], [0, 1, 0]], cell=[9, 1e7, 9], pbc=True), "give a smaller cell"),
    ],
)
def test_impossible_geometries(atoms, sentence):
    with pytest.raises(PetDriverError, match=sentence):
        edges_of(atoms)


def test_atoms_many_cells_away():
    """As far as a trajectory without wrapping gets; only the rounding of coordinates shows."""
    atoms = Atoms("OH", [[0.0, 0.0, 0.0], [0.5, 0.25, 0.75]], cell=[2.0, 2.0, 2.0], pbc=True)
    near = edges_of(atoms)
    atoms.positions[1] += [2.0 * 2**20, 0.0, -2.0 * 2**20]
    far = edges_of(atoms)
    np.testing.assert_array_equal(far.neighbor, near.neighbor)
    np.testing.assert_allclose(np.sort(far.vectors, 0), np.sort(near.vectors, 0), atol=1e-8)


def test_molecules_far_apart():
    """As far as fragments of a reaction get."""
    atoms = Atoms("OHOH", [[0, 0, 0], [0.9, 0, 0], [0, 6e4, 0], [0, 6e4, 0.9]])
    assert edges_of(atoms).neighbor.tolist() == [1, 0, 3, 2]


def test_no_atoms():
    assert len(edges_of(Atoms()).centre) == 0


def test_unknown_element():
    with pytest.raises(PetDriverError, match="contains Au, but the model knows only H O"):
        species_indices(np.array([1, 79]), (1, 8))
    with pytest.raises(PetDriverError, match="contains element 119, but the model knows only H O"):
        species_indices(np.array([1, 119]), (1, 8))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.5, "plus", [0, 1], None])
def test_charges_are_integers(molecule, value):
    table = ChargeAndSpin(largest_charge=2, largest_spin=3)
    system = System.from_atoms(molecule)
    system.charge = value
    if value is None:
        assert table.of(system) == (0, 1)
        return
    with pytest.raises(PetDriverError, match=r"the charge of a structure is .*; give an integer"):
        table.of(system)
