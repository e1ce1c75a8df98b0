"""ML-IAP with arrays in the memory of the GPU gives what it gives with arrays on the host."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atom
from mliap_arrays import Arrays, KokkosArrays
from pretended_gpu import PretendedGpu
from small_structures import chain

from helpers import FOREIGN, MODERN
from pet_driver.engines.lammps import mliap
from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import load_checkpoint, random_checkpoint, save_checkpoint

MODELS = {"modern": MODERN, "foreign": replace(FOREIGN, cutoff=3.5)}
ELEMENTS = {"H": 1, "C": 6, "O": 8}
NULL = 10  # its atoms are not seen


@pytest.fixture(autouse=True)
def no_abort(monkeypatch):
    """A failure of the test, not the end of the process."""
    pytest.importorskip("mpi4py.MPI", exc_type=ImportError)
    pytest.importorskip("lammps")
    monkeypatch.setattr(mliap, "abort_world", pytest.fail)


@pytest.fixture(params=MODELS)
def model_file(request, tmp_path):
    path = tmp_path / "model.safetensors"
    save_checkpoint(random_checkpoint(MODELS[request.param]), path)
    return path


def stub(path, device):
    checkpoint = load_checkpoint(path)
    options = {"dtype": "float64", "device": device}
    cutoff = checkpoint.hyper.neighbor_cutoff
    return mliap.PetUnified(
        str(path), checkpoint.digest, list(ELEMENTS), cutoff, "metal", options
    ), checkpoint.hyper


def computed(path, kind, lists_ghosts, device, arrays_on=None, null=True):
    """Data after two steps, the second of which opens nothing anew."""
    unified, hyper = stub(path, device)
    atoms = chain()
    if null:
        atoms.append(Atom(NULL, (3.6, 2.5, 0.4)))
    depth = (hyper.depth if lists_ghosts else 1) * hyper.neighbor_cutoff + 0.6
    for _ in range(2):
        data = kind(
            atoms, list(ELEMENTS.values()), hyper.neighbor_cutoff, depth, lists_ghosts, arrays_on
        )
        unified.compute_forces(data)
    return data


@pytest.mark.parametrize(
    ("lists_ghosts", "null"),
    [(True, True), (False, True), (False, False)],
    ids=["lists of ghosts", "exchange", "paired on the device"],
)
def test_arrays_on_the_gpu(model_file, lists_ghosts, null):
    """Without atoms of type NULL and of one rank, pairs need not leave the device."""
    expected = computed(model_file, KokkosArrays, lists_ghosts, "cpu", null=null)
    whole = Potential(load_checkpoint(model_file), dtype="float64").compute(chain())
    with PretendedGpu():
        found = computed(model_file, KokkosArrays, lists_ghosts, "cuda", "cuda", null)
        np.testing.assert_allclose(found.energies(), expected.energies(), atol=1e-10)
        np.testing.assert_allclose(found.given, expected.given, atol=1e-10)
        assert found.energy == pytest.approx(whole.energy, rel=1e-12)
        np.testing.assert_allclose(found.energies(), whole.energies, atol=1e-10)
        np.testing.assert_allclose(found.forces()[: len(whole.forces)], whole.forces, atol=1e-10)
        assert not found.forces()[len(whole.forces) :].any()


@pytest.mark.parametrize("model_file", ["modern"], indirect=True)
@pytest.mark.parametrize(
    ("kind", "device", "arrays_on"),
    [(Arrays, "cuda", None), (KokkosArrays, "cpu", "cuda"), (KokkosArrays, "cuda", None)],
    ids=["network", "arrays", "network beside KOKKOS on the host"],
)
def test_one_of_both_on_the_gpu(model_file, kind, device, arrays_on):
    expected = computed(model_file, Arrays, True, "cpu")
    with PretendedGpu():
        found = computed(model_file, kind, True, device, arrays_on)
        np.testing.assert_allclose(found.energies(), expected.energies(), atol=1e-10)
        np.testing.assert_allclose(found.given, expected.given, atol=1e-10)


@pytest.mark.parametrize("model_file", ["modern"], indirect=True)
def test_rank_without_atoms(model_file):
    """Of several GPUs, each rank uses one; a rank may have neither atoms nor pairs."""
    with PretendedGpu(count=2):
        unified, hyper = stub(model_file, "cuda")
        cutoff = hyper.neighbor_cutoff
        data = KokkosArrays(chain()[:0], list(ELEMENTS.values()), cutoff, 1.0, False, "cuda")
        unified.compute_forces(data)
        assert data.energy == 0.0
