"""One rank's share of a structure on the GPU gives what the whole structure gives on the CPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pretended_gpu import PretendedGpu
from small_structures import chain, shaken, unrolled

from helpers import FOREIGN, MODERN
from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import random_checkpoint

MODELS = {"modern": MODERN, "foreign": replace(FOREIGN, cutoff=3.5)}

pytestmark = pytest.mark.filterwarnings("ignore:.*was trained with scope")


@pytest.fixture
def comm():
    return pytest.importorskip("mpi4py.MPI", exc_type=ImportError).COMM_SELF


@pytest.mark.parametrize("halo", ["exchange", "wide"])
@pytest.mark.parametrize("scope", ["layer", "none", "atom"])
@pytest.mark.parametrize("model", MODELS)
def test_same_numbers(comm, model, scope, halo):
    checkpoint = random_checkpoint(MODELS[model])
    structures = [chain(), *(shaken(chain(), seed, 0.004) for seed in range(4))]
    expected = Potential(checkpoint, dtype="float64", scope=scope).compute(structures)
    with PretendedGpu() as gpu:
        potential = Potential(checkpoint, dtype="float64", scope=scope, device="cuda")
        domain = potential.open_domain(comm, halo)
        ids, start = unrolled(structures[0], domain.depth * potential.neighbor_cutoff + 0.6)
        species = np.searchsorted(potential.species, structures[0].numbers[ids])
        for atoms, wanted in zip(structures, expected, strict=True):
            # Ghosts move as the atoms do whose images they are.
            positions = start + (atoms.positions - structures[0].positions)[ids]
            domain.follow(ids, species, positions, len(atoms))
            for found in (potential.evaluate(domain.graph()), potential.evaluate_share(domain)):
                close(found, wanted)
        assert domain.rebuilds == 1
        assert domain.self_test(domain.graph())
        assert gpu.account.kernels.total() > 500
        domain.close()


def close(found, wanted):
    np.testing.assert_allclose(found.energies, wanted.energies, atol=1e-11)
    np.testing.assert_allclose(found.forces, wanted.forces, atol=1e-11)
    np.testing.assert_allclose(found.virial, wanted.virial, atol=1e-10)
    assert found.energy == pytest.approx(wanted.energy, abs=1e-10)


def test_lists_that_are_made_anew(comm):
    """Atoms come in another order, with other ghosts: what is on the device follows."""
    checkpoint = random_checkpoint(MODERN)
    with PretendedGpu():
        potential = Potential(checkpoint, dtype="float64", device="cuda")
        domain = potential.open_domain(comm)
        depth = potential.neighbor_cutoff + 0.6
        for k, size in enumerate((0.0, 0.01, 0.02, 0.4, 0.41, 0.42)):
            atoms = shaken(chain(), 1, size)
            order = np.argsort(-atoms.numbers) if k == 4 else np.arange(len(atoms))
            atoms = atoms[order]
            ids, positions = unrolled(atoms, depth)
            species = np.searchsorted(potential.species, atoms.numbers[ids])
            domain.follow(ids, species, positions, len(atoms))
            wanted = Potential(checkpoint, dtype="float64").compute(atoms)
            close(potential.evaluate_share(domain), wanted)
        domain.close()


@pytest.mark.parametrize("halo", ["exchange", "wide"])
@pytest.mark.parametrize("scope", ["layer", "none", "atom"])
def test_rank_without_atoms(comm, scope, halo):
    checkpoint = random_checkpoint(replace(MODERN, properties=(("dipole", 1), ("shift", 2))))
    none = np.zeros(0, dtype=np.int64)
    with PretendedGpu():
        potential = Potential(checkpoint, dtype="float64", scope=scope, device="cuda")
        domain = potential.open_domain(comm, halo)
        domain.follow(none, none, np.zeros((0, 3)), 0)
        found = potential.evaluate_share(domain)
    assert (found.energy, found.forces.shape) == (0.0, (0, 3))
    assert found.vectors["dipole"].shape == (0, 3)
    assert found.tensors["shift"].shape == (0, 3, 3)
