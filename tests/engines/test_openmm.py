"""OpenMM-ML makes systems with PET; the oracle is the same structure outside of OpenMM."""

import re
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("openmm", reason="OpenMM is not installed")
pytest.importorskip("openmmml", reason="OpenMM-ML is not installed")

import openmm
from ase.units import kJ, mol
from openmm import app, unit
from openmmml import MLPotential

from helpers import FOREIGN, ROOT, environment
from pet_driver import PetDriverError, load_model
from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import random_checkpoint, save_checkpoint

EV = mol / kJ  # eV in kJ/mol, by ASE
DIPEPTIDE = ROOT / "docs" / "examples" / "openmm_dipeptide" / "start.pdb"
PLATFORMS = ["Reference", "CPU"]


def topology_of(atoms):
    """Each atom in a residue of its own, periodic as the structure is."""
    topology = app.Topology()
    chain = topology.addChain()
    for number in atoms.numbers:
        element = app.Element.getByAtomicNumber(int(number))
        topology.addAtom(element.symbol, element, topology.addResidue("X", chain))
    if atoms.pbc.all():
        topology.setPeriodicBoxVectors(0.1 * atoms.cell.array * unit.nanometer)
    return topology


def context_of(system, positions, platform="Reference", time_step=0.25e-3):
    """Positions in angstrom, time step in ps."""
    integrator = openmm.VerletIntegrator(time_step)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform))
    context.setPositions(0.1 * positions)
    return context


def evaluated(context, **groups):
    """Energy, eV, and forces, eV/angstrom."""
    state = context.getState(energy=True, forces=True, **groups)
    energy = state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
    forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
    return energy / EV, forces / (10.0 * EV)


@pytest.fixture(scope="module")
def pet(potential):
    return MLPotential("pet", model=potential)


# -- a whole system --


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", ["small_box", "molecule"])
def test_energy_and_forces_are_those_of_the_potential(name, platform, pet, potential, request):
    atoms = request.getfixturevalue(name).copy()
    if atoms.pbc.all():  # OpenMM's form of a triclinic box
        atoms.set_cell([[6.3, 0.0, 0.0], [0.9, 6.1, 0.0], [-0.6, 0.7, 6.4]], scale_atoms=True)
    system = pet.createSystem(topology_of(atoms))
    assert system.usesPeriodicBoundaryConditions() == bool(atoms.pbc.all())
    energy, forces = evaluated(context_of(system, atoms.positions, platform))
    alone = potential.compute(atoms)
    assert energy == pytest.approx(alone.energy, rel=1e-7)  # ASE's constants are those of 2014
    np.testing.assert_allclose(forces, alone.forces, atol=1e-7 * np.abs(alone.forces).max())


def test_the_box_of_the_state_counts(pet, potential, small_box):
    """Not that of the topology: a barostat changes the state's."""
    context = context_of(pet.createSystem(topology_of(small_box)), small_box.positions)
    larger = small_box.copy()
    larger.set_cell(1.05 * small_box.cell.array)
    context.setPeriodicBoxVectors(*(0.1 * larger.cell.array))
    wanted = potential.compute(larger).energy
    assert abs(wanted - potential.compute(small_box).energy) > 1e-3
    assert evaluated(context)[0] == pytest.approx(wanted, rel=1e-7)


def test_energy_is_conserved(small_box):
    system = MLPotential("pet", model="water").createSystem(topology_of(small_box))
    context = context_of(system, small_box.positions)
    totals, kinetic = [], []
    for _ in range(40):
        context.getIntegrator().step(1)
        state = context.getState(energy=True)
        parts = state.getPotentialEnergy(), state.getKineticEnergy()
        potential, moving = (part.value_in_unit(unit.kilojoule_per_mole) / EV for part in parts)
        totals.append(potential + moving)
        kinetic.append(moving)
    assert max(kinetic) > 0.1
    assert np.ptp(totals) < 0.02 * max(kinetic)


def test_a_barostat_finds_the_pressure(pet, small_box):
    """Its moves are accepted by energies in boxes of other sizes, not all and not none."""
    system = pet.createSystem(topology_of(small_box))
    system.addForce(openmm.MonteCarloBarostat(1.0 * unit.bar, 300.0 * unit.kelvin, 1))
    context = context_of(system, small_box.positions, time_step=0.1e-3)
    context.getIntegrator().step(30)
    volume = context.getState().getPeriodicBoxVolume().value_in_unit(unit.angstrom**3)
    assert volume != pytest.approx(small_box.get_volume(), rel=1e-6)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_errors_reach_the_user_in_one_sentence(platform, pet, molecule):
    system = pet.createSystem(topology_of(molecule))
    positions = molecule.positions[[0, 0, 2]]
    message = "^atoms 0 and 1 are 0 angstrom apart; remove one of them or relax the structure first"
    with pytest.raises(openmm.OpenMMException, match=message):
        evaluated(context_of(system, positions, platform))


def test_charge_and_spin(molecule):
    potential = Potential(random_checkpoint(FOREIGN), dtype="float64", charge=1, spin=2)
    system = MLPotential("pet", model=potential).createSystem(topology_of(molecule))
    charged = molecule.copy()
    charged.info.update(charge=1, spin=2)
    energy = evaluated(context_of(system, molecule.positions))[0]
    neutral = Potential(random_checkpoint(FOREIGN), dtype="float64")
    assert energy == pytest.approx(neutral.compute(charged).energy, rel=1e-7)
    assert abs(energy - neutral.compute(molecule).energy) > 1e-3


# -- a system saved as XML --


def test_a_saved_system_loads_the_model_again(model_file, molecule):
    potential = MLPotential("pet", model=model_file, dtype="float64", scope="none")
    system = potential.createSystem(topology_of(molecule))
    text = openmm.XmlSerializer.serialize(system)
    assert len(text) < 20_000  # without weights
    again = openmm.XmlSerializer.deserialize(text)
    before, after = (evaluated(context_of(x, molecule.positions)) for x in (system, again))
    assert before[0] == after[0]
    np.testing.assert_array_equal(before[1], after[1])
    layer = load_model(model_file, dtype="float64").compute(molecule).energy
    assert abs(before[0] - layer) > 1e-6  # so the scope was saved too


def test_a_saved_system_notices_another_model(checkpoint, tmp_path, molecule):
    path = tmp_path / "model.safetensors"
    save_checkpoint(checkpoint, path)
    system = MLPotential("pet", model=path).createSystem(topology_of(molecule))
    text = openmm.XmlSerializer.serialize(system)
    save_checkpoint(random_checkpoint(checkpoint.hyper, seed=1), path)
    context = context_of(openmm.XmlSerializer.deserialize(text), molecule.positions)
    message = "is not the model that the system was saved with .*; get that file, or make the"
    with pytest.raises(openmm.OpenMMException, match=message):
        evaluated(context)
    path.unlink()
    context = context_of(openmm.XmlSerializer.deserialize(text), molecule.positions)
    with pytest.raises(openmm.OpenMMException, match=r"^there is no model .*; give the path of"):
        evaluated(context)


def test_a_system_of_a_loaded_potential_cannot_be_saved(pet, molecule):
    system = pet.createSystem(topology_of(molecule))
    with pytest.raises(openmm.OpenMMException, match="could not be pickled"):
        openmm.XmlSerializer.serialize(system)


# -- a molecule in a classical box --


@pytest.fixture(scope="module")
def dipeptide():
    """Topology, positions in angstrom, and the atoms that PET describes."""
    pdb = app.PDBFile(str(DIPEPTIDE))
    atoms = [a.index for a in pdb.topology.atoms() if a.residue.name != "HOH"]
    positions = pdb.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    return pdb.topology, positions, atoms


@pytest.fixture(scope="module")
def classical(dipeptide):
    forcefield = app.ForceField("amber14-all.xml", "amber14/tip3p.xml")
    return forcefield.createSystem(
        dipeptide[0],
        nonbondedMethod=app.PME,
        nonbondedCutoff=0.9 * unit.nanometer,
        constraints=app.HBonds,
    )


@pytest.fixture(scope="module")
def by_pet(dipeptide):
    """Prediction for the dipeptide alone."""
    from ase import Atoms

    topology, positions, chosen = dipeptide
    numbers = [a.element.atomic_number for a in topology.atoms()]
    cell = topology.getPeriodicBoxVectors().value_in_unit(unit.angstrom)
    whole = Atoms(numbers, positions, cell=np.array(cell), pbc=True)
    return load_model("dipeptides", dtype="float64").compute(whole[chosen])


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_molecule_in_a_classical_box(platform, dipeptide, classical, by_pet):
    topology, positions, chosen = dipeptide
    potential = MLPotential("pet", model="dipeptides", dtype="float64")
    system = potential.createMixedSystem(topology, classical, chosen, forceGroup=1)
    assert system.getNumConstraints() == classical.getNumConstraints() - 12  # hydrogens of it
    context = context_of(system, positions, platform)
    energy, forces = evaluated(context, groups={1})
    assert energy == pytest.approx(by_pet.energy, rel=1e-7)
    np.testing.assert_allclose(forces[chosen], by_pet.forces, atol=1e-6)
    assert not np.delete(forces, chosen, axis=0).any()
    # All else, on the atoms of the molecule, is what the water does to them.
    _, by_water = evaluated(context, groups={0})
    assert 0.01 < np.abs(by_water[chosen]).max() < 5.0


def test_interpolation_to_the_classical_energy(dipeptide, classical):
    topology, positions, chosen = dipeptide
    potential = MLPotential("pet", model="dipeptides", dtype="float64")
    mixed = potential.createMixedSystem(topology, classical, chosen)
    system = potential.createMixedSystem(topology, classical, chosen, interpolate=True)
    context = context_of(system, positions)
    for switch, wanted in ((0.0, classical), (1.0, mixed)):
        context.setParameter("lambda_interpolate", switch)
        energy = evaluated(context_of(wanted, positions))[0]
        assert evaluated(context)[0] == pytest.approx(energy, abs=1e-5)


# -- examples --


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("openmm_water", r"total energy: range 0\.\d+ meV/atom, drift"),
        ("openmm_dipeptide", r"energy of the peptide by PET: -\d+"),
    ],
)
def test_examples(name, printed, tmp_path):
    program, picture = ROOT / "docs" / "examples" / name / "run.py", tmp_path / "picture.png"
    command = [sys.executable, str(program), "--steps", "20", "--plot", str(picture)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment(), check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert re.search(printed, done.stdout), done.stdout
    assert picture.stat().st_size < 60_000


# -- what is refused --


def test_a_model_has_to_be_named():
    with pytest.raises(PetDriverError, match=r'names no model; write MLPotential\("pet", model='):
        MLPotential("pet")


def test_unknown_models_and_options():
    with pytest.raises(PetDriverError, match="there is no model 'wter'; give the path"):
        MLPotential("pet", model="wter")
    with pytest.raises(PetDriverError, match="there is no option 'precison'"):
        MLPotential("pet", model="water", precison="tf32")


def test_unknown_elements_are_named_when_the_system_is_made(pet):
    from ase.build import molecule

    with pytest.raises(PetDriverError, match="contains N, but the model knows only H C O; use"):
        pet.createSystem(topology_of(molecule("NH3")))


def test_atoms_without_an_element(pet, molecule):
    topology = topology_of(molecule)
    topology.addAtom("M", None, topology.addResidue("X", next(topology.chains())))
    with pytest.raises(PetDriverError, match=r"atom 3 \(M, counted from 0\) .* has no element"):
        pet.createSystem(topology)


@pytest.mark.parametrize("arguments", [{"dtype": "float64"}, {"model": "water"}])
def test_options_of_the_model_belong_to_the_potential(arguments, pet, dipeptide, classical):
    topology, _, chosen = dipeptide
    with pytest.raises(PetDriverError, match=r'give it to the potential, MLPotential\("pet"'):
        pet.createSystem(topology, **arguments)
    with pytest.raises(PetDriverError, match=r'give it to the potential, MLPotential\("pet"'):
        pet.createMixedSystem(topology, classical, chosen, **arguments)


def test_unknown_arguments_of_a_whole_system(pet, molecule):
    with pytest.raises(
        PetDriverError, match="createSystem has the argument returnEnergyType='energy'"
    ):
        pet.createSystem(topology_of(molecule), returnEnergyType="energy")


def test_openmm_ml_loads_without_torch():
    """It loads every entry point, in every program that imports it."""
    code = "import sys, openmmml; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_other_engines_do_not_import_openmm():
    code = (
        "import sys, pet_driver, pet_driver.engines.ase, pet_driver.engines.openmm.factory; "
        "sys.exit('openmm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
