"""Forces that a model reads out directly: an output, and never the forces unless asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from helpers import FOREIGN, MODERN
from pet_driver.engines.ase import PETCalculator
from pet_driver.engines.ipi.committee import Committee
from pet_driver.engines.ipi.messages import Request
from pet_driver.engines.ipi.service import Service
from pet_driver.errors import PetDriverError
from pet_driver.evaluation.options import EvaluationOptions
from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import random_checkpoint, save_checkpoint
from pet_driver.graph import System

DIRECT = replace(
    FOREIGN,
    properties=(("non_conservative_forces", 1), ("non_conservative_virial", 2)),
    foreign=replace(FOREIGN.foreign, directions_alone=True),
    scope="none",
)


def test_only_an_output(small_box: Atoms) -> None:
    """The forces stay the gradient."""
    checkpoint = random_checkpoint(DIRECT)
    found = Potential(checkpoint, dtype="float64").compute(small_box)
    bare = replace(checkpoint, hyper=replace(DIRECT, properties=()))
    bare.weights = {k: v for k, v in bare.weights.items() if not k.startswith("property_heads")}
    assert np.array_equal(found.forces, Potential(bare, dtype="float64").compute(small_box).forces)
    direct = found.vectors["non_conservative_forces"]
    assert np.abs(direct - found.forces).max() > 1e-3
    atoms = small_box.copy()
    atoms.calc = PETCalculator(Potential(checkpoint, dtype="float64"))
    assert np.array_equal(atoms.get_forces(), found.forces)
    assert np.array_equal(atoms.calc.results["atomic_non_conservative_forces"], direct)


def test_when_asked_for(small_box: Atoms) -> None:
    """Without their sum, and with the virial that is read out."""
    potential = Potential(random_checkpoint(DIRECT), dtype="float64")
    plain, direct = potential.compute(small_box), potential.direct().compute(small_box)
    raw = plain.vectors["non_conservative_forces"]
    assert direct.energy == pytest.approx(plain.energy, rel=1e-14)
    assert np.allclose(direct.forces, raw - raw.mean(axis=0), atol=1e-14)
    assert np.abs(direct.forces.sum(axis=0)).max() < 1e-12
    virial = plain.total("non_conservative_virial")
    assert np.allclose(direct.virial, 0.5 * (virial + virial.T), atol=1e-13)


def test_the_potential_itself_is_left_as_it_was(small_box: Atoms) -> None:
    potential = Potential(random_checkpoint(DIRECT), dtype="float64")
    before = potential.compute(small_box).forces
    potential.direct().compute(small_box)
    assert np.array_equal(potential.compute(small_box).forces, before)


def test_models_without() -> None:
    with pytest.raises(PetDriverError, match="no direct forces"):
        Potential(random_checkpoint(MODERN)).direct()


def test_not_in_a_domain() -> None:
    from mpi4py import MPI

    with pytest.raises(PetDriverError, match="one rank"):
        Potential(random_checkpoint(DIRECT)).direct().open_domain(MPI.COMM_SELF)


def test_outputs_for_multiple_time_stepping(small_box: Atoms, tmp_path) -> None:
    """Fast and slow forces add up to the exact ones."""
    save_checkpoint(random_checkpoint(DIRECT), tmp_path / "model.safetensors")
    model, template = [str(tmp_path / "model.safetensors")], System.from_atoms(small_box)
    request = Request(small_box.cell.array[None], small_box.positions[None])
    committee = Committee(model, EvaluationOptions(dtype="float64", scope="atom"))
    fast, slow, exact = (
        Service(committee, template, output).evaluate(request)[0]
        for output in ("direct", "direct_difference", "ecse")
    )
    assert np.allclose(fast.forces + slow.forces, exact.forces, atol=1e-12)
    assert np.allclose(fast.virial + slow.virial, exact.virial, atol=1e-12)
    save_checkpoint(random_checkpoint(MODERN), tmp_path / "without.safetensors")
    with pytest.raises(PetDriverError, match="no direct forces"):
        Service(Committee([str(tmp_path / "without.safetensors")]), template, "direct")
