"""One rank's share of a structure on the GPU gives what the whole structure gives on the CPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from pretended_gpu import PretendedGpu
from small_structures import chain, shaken, unrolled

from helpers import FOREIGN, MODERN
from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import random_checkpoint
from pet_driver.frames.whole_average import CLASSES
from pet_driver.graph import EdgeBuffers

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


@pytest.mark.parametrize("memory_share", [0.4, 1e-7])
def test_neighbors_at_the_cutoff(comm, memory_share):
    """By rounding, a length differs at the two ends: a free slot stands between others."""
    crystal = bulk("C", "sc", a=0.5 * MODERN.cutoff, cubic=True).repeat((3, 3, 3))
    crystal.positions += [0.318, 0.135, 0.02]
    crystal.positions[5] += [0.3, 0.2, 0.1]
    checkpoint = random_checkpoint(MODERN)
    wanted = Potential(checkpoint, dtype="float64").compute(crystal)
    options = {"dtype": "float64", "device": "cuda", "memory_share": memory_share}
    with PretendedGpu():
        potential = Potential(checkpoint, **options)
        domain = potential.open_domain(comm)
        ids, positions = unrolled(crystal, domain.depth * potential.neighbor_cutoff + 0.6)
        species = np.searchsorted(potential.species, crystal.numbers[ids])
        domain.follow(ids, species, positions, len(crystal))
        close(potential.evaluate_share(domain), wanted)
        domain.close()


def test_replicas(comm):
    """Two domains of the same atoms, and two potentials, evaluated in turn."""
    checkpoint = random_checkpoint(MODERN)
    reference = Potential(checkpoint, dtype="float64")
    with PretendedGpu():
        potentials = [Potential(checkpoint, dtype="float64", device="cuda") for _ in range(2)]
        domains = [potentials[0].open_domain(comm) for _ in range(2)]
        for step in range(4):
            for k, domain in enumerate(domains):
                # The second one's atoms move far in the third step, so that it lists them anew.
                size = 0.4 if k == 1 and step >= 2 else 0.005 * step
                atoms = shaken(shaken(chain(), 10 + k, 0.1), 1, size)
                ids, positions = unrolled(atoms, reference.neighbor_cutoff + 0.6)
                species = np.searchsorted(reference.species, atoms.numbers[ids])
                domain.follow(ids, species, positions, len(atoms))
                for potential in potentials:
                    close(potential.evaluate_share(domain), reference.compute(atoms))
        assert [domain.rebuilds for domain in domains] == [1, 2]
        for domain in domains:
            domain.close()


def test_atoms_that_arrive(comm):
    """Sizes of before are a guess for others: fewer and more samples in as many classes."""
    checkpoint = random_checkpoint(MODERN)
    options = {"dtype": "float64", "scope": "none"}
    reference = Potential(checkpoint, **options)
    with PretendedGpu():
        potential = Potential(checkpoint, device="cuda", **options)
        domain = potential.open_domain(comm)
        for count in (3600, 3600, 3400, 3400, 60):
            atoms = _pairs(count)
            species = np.searchsorted(potential.species, atoms.numbers)
            domain.follow(np.arange(count), species, atoms.positions, count)
            close(potential.evaluate_share(domain), reference.compute(atoms))
            ((_, steps),) = potential.resident._domains
            assert steps.sizes[CLASSES] == 2
        domain.close()


def test_shortage_while_lists_are_made(comm, monkeypatch):
    checkpoint = random_checkpoint(MODERN)
    atoms = chain()
    wanted = Potential(checkpoint, dtype="float64").compute(atoms)
    allocate, short = EdgeBuffers.allocate, []

    def scarce(*arguments):
        if not short:
            short.append(arguments)
            raise torch.OutOfMemoryError
        allocate(*arguments)

    monkeypatch.setattr(EdgeBuffers, "allocate", scarce)
    with PretendedGpu():
        potential = Potential(checkpoint, dtype="float64", device="cuda")
        domain = potential.open_domain(comm)
        ids, positions = unrolled(atoms, potential.neighbor_cutoff + 0.6)
        species = np.searchsorted(potential.species, atoms.numbers[ids])
        for _ in range(3):
            domain.follow(ids, species, positions, len(atoms))
            close(potential.evaluate_share(domain), wanted)
        domain.close()
    assert short


def _pairs(count):
    """O-H pairs far apart."""
    side = int(np.ceil((count / 2) ** (1 / 3)))
    places = np.array(list(np.ndindex(side, side, side)))[: count // 2] * 4.5
    positions = np.repeat(places, 2, axis=0)
    positions[1::2, 0] += 1.0
    return Atoms("OH" * (count // 2), positions)
