from functools import partial

import numpy as np
import pytest
from ase import Atoms
from ase.md.verlet import VelocityVerlet
from ase.units import fs

from pet_driver import PetDriverError
from pet_driver.engines.ase import PETCalculator, attach_results


@pytest.fixture
def calculated(potential, small_box):
    atoms = small_box.copy()
    atoms.calc = PETCalculator(potential)
    return atoms


def test_forces_and_stress_are_derivatives(calculated):
    """By central differences of our own: those of ASE moved from module to module."""
    forces, stress = calculated.get_forces(), calculated.get_stress(voigt=False)

    def slope(moved, step):
        above, below = (moved(sign * step).get_potential_energy() for sign in (1.0, -1.0))
        return (above - below) / (2.0 * step)

    def displaced(axis, amount):
        atoms = calculated.copy()
        atoms.calc = calculated.calc
        atoms.positions[3, axis] += amount
        return atoms

    def strained(i, j, amount):
        atoms = calculated.copy()
        atoms.calc = calculated.calc
        strain = np.eye(3)
        strain[i, j] += amount
        atoms.set_cell(atoms.cell @ strain, scale_atoms=True)
        return atoms

    found = [-slope(partial(displaced, axis), 1e-5) for axis in range(3)]
    np.testing.assert_allclose(forces[3], found, atol=1e-6 * np.abs(forces).max())
    found = [[slope(partial(strained, i, j), 1e-6) for j in range(3)] for i in range(3)]
    np.testing.assert_allclose(stress, np.array(found) / calculated.get_volume(), atol=1e-7)


def test_energies_add_up(calculated):
    assert calculated.get_potential_energies().sum() == pytest.approx(
        calculated.get_potential_energy(), rel=1e-12
    )


def test_a_molecule_has_no_stress(potential, molecule):
    from ase.calculators.calculator import PropertyNotImplementedError

    atoms = molecule.copy()
    atoms.calc = PETCalculator(potential)
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_stress()


def test_energy_is_conserved(potential):
    atoms = Atoms("OHH", [[0.0, 0.0, 0.0], [0.80, 0.55, 0.1], [-0.74, 0.61, 0.0]])
    atoms.calc = PETCalculator(potential)
    start = atoms.get_total_energy()
    VelocityVerlet(atoms, 0.1 * fs).run(50)
    change = abs(atoms.get_total_energy() - start)
    assert change < 1e-3 * max(atoms.get_kinetic_energy(), 1e-3)


def test_results_are_attached_to_a_copy(potential, small_box):
    prediction = potential.compute(small_box)
    copy = attach_results(small_box, prediction)
    assert copy.get_potential_energy() == prediction.energy
    assert small_box.calc is None


def test_default_dtype_is_another_name_of_dtype():
    import inspect

    parameters = list(inspect.signature(PETCalculator).parameters)
    assert parameters[:5] == ["model", "device", "dtype", "scope", "default_dtype"]
    for given in ({"default_dtype": "float64"}, {"dtype": "float64", "default_dtype": "float64"}):
        assert PETCalculator("water", **given).potential.dtype == "float64"
    assert PETCalculator("water").potential.dtype == "float32"
    with pytest.raises(PetDriverError, match="two names of one option; give one of them"):
        PETCalculator("water", dtype="float32", default_dtype="float64")


def test_options_of_the_calculator():
    calculator = PETCalculator("water", parity=True, chunk=100, skin=0.2)
    assert calculator.potential.options.changed().keys() >= {"parity", "chunk", "skin"}
    with pytest.raises(PetDriverError, match="there is no option 'sope'; known are scope, frames"):
        PETCalculator("water", sope="atom")


def test_a_loaded_potential_keeps_its_options(potential):
    PETCalculator(potential, dtype="float64", scope="layer")
    PETCalculator(potential)
    for options in ({"dtype": "float32"}, {"default_dtype": "float32"}, {"skin": 0.4}):
        with pytest.raises(PetDriverError, match="but the potential was loaded with"):
            PETCalculator(potential, **options)
    with pytest.raises(PetDriverError, match="parity is True, but the potential was loaded with"):
        PETCalculator(potential, parity=True)
