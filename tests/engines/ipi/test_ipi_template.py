"""Templates as i-PI itself writes structures, in whose comments the cell is."""

import ase.io
import numpy as np
import pytest

from pet_driver.engines.ipi.template import read_template
from pet_driver.errors import PetDriverError
from pet_driver.graph import System
from pet_driver.units import BOHR

TAIL = "Step: 0 Bead: 0 {positions}{cell}"
FORM = "# CELL(abcABC): {numbers} " + TAIL


def written(path, atoms, comment):
    rows = [f"{s} {x:.12f} {y:.12f} {z:.12f}" for s, (x, y, z) in zip(*atoms, strict=True)]
    path.write_text("\n".join([str(len(rows)), comment, *rows]) + "\n")
    return path


def comment_of(cell, positions="positions{angstrom}", of_cell=" cell{angstrom}"):
    numbers = " ".join(f"{x:.10f}" for x in cell)
    return FORM.format(numbers=numbers, positions=positions, cell=of_cell)


@pytest.mark.parametrize("unit", ["angstrom", "atomic_unit"])
def test_files_by_ipi_are_periodic(tmp_path, small_box, unit):
    length = BOHR if unit == "atomic_unit" else 1.0
    # i-PI's cells are upper triangular.
    small_box.set_cell(small_box.cell.standard_form()[0], scale_atoms=True)
    cell = small_box.cell.cellpar()
    cell[:3] /= length
    atoms = (small_box.symbols, small_box.positions / length)
    text = comment_of(cell, f"positions{{{unit}}}", f" cell{{{unit}}}")
    found = read_template(written(tmp_path / "init.xyz", atoms, text))
    assert found.pbc.all()
    np.testing.assert_allclose(found.cell, small_box.cell.array, atol=1e-7)
    np.testing.assert_allclose(found.positions, small_box.positions, atol=1e-9)
    np.testing.assert_array_equal(found.numbers, small_box.numbers)


def test_the_last_structure_of_a_trajectory_counts(tmp_path, molecule):
    path = tmp_path / "simulation.pos_0.xyz"
    texts = []
    for size in (9.0, 8.0):
        written(path, (molecule.symbols, molecule.positions), comment_of([size] * 3 + [90.0] * 3))
        texts.append(path.read_text())
    path.write_text("".join(texts))
    assert np.diag(read_template(path).cell).tolist() == [8.0] * 3


def test_a_cell_without_a_unit_is_in_bohr(tmp_path, molecule):
    """As i-PI takes it."""
    text = comment_of([20.0] * 3 + [90.0] * 3, of_cell="")
    path = written(tmp_path / "init.xyz", (molecule.symbols, molecule.positions), text)
    np.testing.assert_allclose(np.diag(read_template(path).cell), 20.0 * BOHR)


@pytest.mark.parametrize(
    "text",
    [
        comment_of([9.0] * 3 + [90.0] * 3, positions=""),
        comment_of([9.0] * 3 + [90.0] * 3, positions="positions{inch}"),
        comment_of([9.0] * 3),
        comment_of([9.0] * 9).replace("abcABC", "H"),
    ],
    ids=["no unit", "unknown unit", "few numbers", "matrix"],
)
def test_comments_that_are_not_understood(tmp_path, molecule, text):
    path = written(tmp_path / "init.xyz", (molecule.symbols, molecule.positions), text)
    with pytest.raises(PetDriverError, match=r"is by i-PI, but not of the form .* give extxyz"):
        read_template(path)


def test_other_files_are_as_ase_reads_them(tmp_path, small_box, molecule):
    for atoms, name in ((small_box, "box.extxyz"), (molecule, "free.extxyz"), (molecule, "a.xyz")):
        ase.io.write(tmp_path / name, atoms)
        found, wanted = read_template(tmp_path / name), System.from_atoms(atoms)
        assert found.pbc.tolist() == wanted.pbc.tolist()
        np.testing.assert_allclose(found.cell, wanted.cell, atol=1e-7)
