"""TorchSim evaluates batches with PETModel; the oracle is the same structure outside of it."""

import doctest
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import bulk, molecule

pytest.importorskip("torch_sim", reason="TorchSim is not installed; `make engines` tests with it")

import torch_sim as ts
from torch_sim.models.interface import SumModel, validate_model_outputs

from helpers import FOREIGN, MODERN, ROOT, environment
from pet_driver import PetDriverError, load_model
from pet_driver.engines.ase import PETCalculator
from pet_driver.engines.torch_sim import PETModel, systems_of
from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import random_checkpoint

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(potential):
    return PETModel(potential)


@pytest.fixture
def boxes(small_box):
    """Three periodic boxes of different size and cell; the last one is left-handed."""
    stretched = small_box.copy()
    stretched.set_cell(small_box.cell.array * 1.05, scale_atoms=True)
    few = small_box[[3, 4, 5, 0, 1, 2]]
    few.set_cell(few.cell.array[[1, 0, 2]])
    return [small_box, stretched, few]


def state_of(atoms, dtype=torch.float64):
    return ts.io.atoms_to_state(atoms, CPU, dtype)


@pytest.mark.parametrize("state_dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("scope", ["layer", "atom", "none"])
def test_contract_of_torch_sim(scope, state_dtype):
    """Silicon, magnesium, iron and benzene, alone and in one batch."""
    checkpoint = random_checkpoint(replace(MODERN, species=(1, 6, 12, 14, 26), cutoff=4.5))
    potential = Potential(checkpoint, dtype="float64", scope=scope)
    model = PETModel(potential, state_dtype=state_dtype)
    validate_model_outputs(model, CPU, state_dtype)


def test_batch_gives_what_ase_gives(model, potential, boxes):
    found = model(state_of(boxes))
    assert found["energy"].dtype == torch.float64
    first = 0
    for k, atoms in enumerate(boxes):
        alone = atoms.copy()
        alone.calc = PETCalculator(potential)
        part = slice(first, first := first + len(atoms))
        np.testing.assert_allclose(found["energy"][k], alone.get_potential_energy(), rtol=1e-12)
        np.testing.assert_allclose(found["energies"][part], alone.get_potential_energies())
        np.testing.assert_allclose(found["forces"][part], alone.get_forces(), atol=1e-10)
        np.testing.assert_allclose(found["stress"][k], alone.get_stress(voigt=False), atol=1e-12)


def test_stress_is_the_derivative_in_torch_sims_cell(model, small_box):
    """dE/dstrain per volume, with the strain applied to the state itself."""
    state = state_of([small_box])
    stress = model(state)["stress"][0]
    strain, step = torch.zeros(3, 3, dtype=torch.float64), 1e-5
    strain[0, 1] = strain[1, 0] = 0.5 * step
    energies = []
    for sign in (1.0, -1.0):
        deformed = state.clone()
        map_ = torch.eye(3, dtype=torch.float64) + sign * strain
        deformed.positions = state.positions @ map_
        deformed.cell = map_ @ state.cell
        energies.append(model(deformed)["energy"][0])
    slope = (energies[0] - energies[1]) / (2 * step * torch.linalg.det(state.cell[0]))
    assert abs(stress[0, 1]) > 1e-4
    assert slope == pytest.approx(float(stress[0, 1]), rel=1e-5)


def test_what_is_computed_can_be_chosen(potential, boxes):
    model = PETModel(potential, compute_stress=False)
    assert "stress" not in model(state_of(boxes))
    model.compute_stress, model.compute_forces = True, False
    assert model(state_of(boxes)).keys() == {"energy", "energies", "stress"}


def test_stress_without_a_volume_is_not_a_number(model, molecule):
    assert model(state_of([molecule]))["stress"].isnan().all()


def test_energy_is_conserved(boxes):
    """NVE of TorchSim, float32 network: the total energy of each box stays far below k T."""
    model = PETModel("water")
    state = ts.integrators.nve_init(
        state=state_of(boxes), model=model, kT=torch.tensor(0.0, dtype=torch.float64)
    )
    first = state.energy + ts.calc_kinetic_energy(
        masses=state.masses, momenta=state.momenta, system_idx=state.system_idx
    )
    kinetic = torch.zeros(())
    for _ in range(40):
        step = torch.tensor(0.25 * ts.units.MetalUnits.time * 1e-3, dtype=torch.float64)
        state = ts.integrators.nve_step(state=state, model=model, dt=step)
        kinetic = ts.calc_kinetic_energy(
            masses=state.masses, momenta=state.momenta, system_idx=state.system_idx
        )
    change = (state.energy + kinetic - first).abs()
    assert (kinetic > 0.01).all()
    assert (change < 0.02 * kinetic).all()


@pytest.mark.slow
def test_relaxation_of_cells_finds_the_lattice_constant():
    """Of the model `silicon`, from a larger and a smaller cell in one batch, by TorchSim's FIRE."""
    starts = [bulk("Si", cubic=True, a=a) for a in (5.35, 5.60)]
    state = ts.optimize(
        starts,
        PETModel("silicon", dtype="float64"),
        optimizer=ts.Optimizer.fire,
        init_kwargs={"cell_filter": ts.CellFilter.frechet},
        convergence_fn=ts.generate_force_convergence_fn(0.01, include_cell_forces=True),
        max_steps=200,
    )
    lengths = torch.linalg.vector_norm(state.cell, dim=1)
    np.testing.assert_allclose(lengths, 5.472, atol=0.005)


def test_covariant_outputs():
    water = molecule("H2O")
    found = PETModel("dipeptides", dtype=torch.float64)(state_of([water, molecule("NH3")]))
    alone = load_model("dipeptides", dtype="float64").compute(water)
    assert found["dipole"].shape == (2, 3)
    np.testing.assert_allclose(found["dipole"][0], alone.total("dipole"), atol=1e-12)
    np.testing.assert_allclose(found["atomic_dipole"][:3], alone.vectors["dipole"], atol=1e-12)


@pytest.mark.parametrize("names", [("charge", "spin"), ("total_charge", "total_spin")])
def test_charge_and_spin(names, molecule):
    potential = Potential(random_checkpoint(FOREIGN), dtype="float64")
    charged = molecule.copy()
    charged.info.update(charge=1, spin=2)
    keys = dict(zip(names, ("charge", "spin"), strict=True))
    state = ts.io.atoms_to_state([charged], CPU, torch.float64, system_extras_map=keys)
    energies = [potential.compute(atoms).energy for atoms in (charged, molecule)]
    assert abs(energies[0] - energies[1]) > 1e-3
    assert float(PETModel(potential)(state)["energy"]) == pytest.approx(energies[0], rel=1e-12)


def test_sum_with_another_model(model, potential, small_box):
    state = state_of([small_box])
    total = SumModel(model, PETModel(potential))(state)
    alone = model(state)
    assert torch.allclose(total["energy"], 2.0 * alone["energy"])
    assert torch.allclose(total["stress"], 2.0 * alone["stress"])


def test_batches_of_an_autobatcher(model, boxes):
    """It changes which systems are evaluated together, and nothing else."""
    batcher = ts.BinningAutoBatcher(model, memory_scales_with="n_atoms", max_memory_scaler=30)
    found = ts.static(boxes, model, autobatcher=batcher)
    whole = model(state_of(boxes))
    energies = [float(one["potential_energy"]) for one in found]
    np.testing.assert_allclose(energies, whole["energy"], rtol=1e-12)
    np.testing.assert_allclose(torch.cat([one["forces"] for one in found]), whole["forces"])


def test_example_of_the_module():
    assert doctest.testmod(sys.modules["pet_driver.engines.torch_sim"]) == (0, 4)


def test_systems_of_a_slab(small_box):
    slab = small_box.copy()
    slab.pbc = [True, True, False]
    (system,) = systems_of(state_of([slab]))
    assert system.pbc.tolist() == [True, True, False]
    np.testing.assert_array_equal(system.cell, slab.cell.array)
    np.testing.assert_array_equal(system.numbers, slab.numbers)


@pytest.mark.slow
def test_example(tmp_path):
    program = ROOT / "docs" / "examples" / "torch_sim_water" / "run.py"
    picture = tmp_path / "picture.png"
    command = [sys.executable, str(program), "--boxes", "3", "--steps", "8", "--plot", str(picture)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment(), check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    mean = re.search(r"mean temperature of the second half: (\d+) K", done.stdout)
    assert mean, done.stdout
    assert 150 < int(mean[1]) < 600
    assert picture.stat().st_size < 60_000


def test_unknown_elements_are_named(model):
    with pytest.raises(PetDriverError, match="contains Cu, but the model knows only H C O; use"):
        model(state_of([bulk("Cu")]))


def test_a_state_of_another_dtype_is_refused(model, small_box):
    with pytest.raises(PetDriverError, match=r"torch.float32 on cpu, but the model expects .*64"):
        model(state_of([small_box], torch.float32))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"state_dtype": torch.float16}, "state_dtype is torch.float16; choose torch.float32 or"),
        ({"dtype": torch.float16}, "dtype is 'float16'; choose one of float32, float64"),
        ({"device": "tpu"}, "device is 'tpu'; choose cpu, cuda or cuda:N"),
    ],
    ids=["state_dtype", "dtype", "device"],
)
def test_wrong_options(wrong, message):
    with pytest.raises(PetDriverError, match=message):
        PETModel("water", **wrong)


def test_other_engines_do_not_import_torch_sim():
    code = (
        "import sys, pet_driver, pet_driver.engines.ase, pet_driver.engines.lammps; "
        "sys.exit('torch_sim' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
