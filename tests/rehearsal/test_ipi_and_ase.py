"""i-PI's and ASE's engines: the same answers with the models on the GPU as on the CPU."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from pretended_gpu import PretendedGpu
from small_structures import shaken
from torch.utils._python_dispatch import TorchDispatchMode

from helpers import FOREIGN, MODERN
from pet_driver.engines.ase import PETCalculator
from pet_driver.engines.ipi.committee import Committee
from pet_driver.engines.ipi.messages import Request
from pet_driver.engines.ipi.service import EXTRAS, Service
from pet_driver.evaluation.evaluation import EvaluationRequest
from pet_driver.evaluation.options import EvaluationOptions
from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import random_checkpoint, save_checkpoint
from pet_driver.graph import System
from pet_driver.units import BOHR

METHANOL = Atoms(
    "COHHHH",
    [
        *([0.05, 0.66, 0.0], [0.05, -0.76, 0.0], [-1.09, 0.97, 0.0]),
        *([-0.87, -1.05, 0.1], [0.44, 1.07, 0.89], [0.44, 1.07, -0.89]),
    ],
    cell=[8.0, 8.5, 9.0],
    pbc=True,
)
BEADS = [shaken(METHANOL, seed) for seed in range(2)]
WITH_DIPOLE = replace(MODERN, properties=(("dipole", 1),))
WITH_DIRECT_FORCES = replace(
    FOREIGN,
    properties=(("non_conservative_forces", 1), ("non_conservative_virial", 2)),
    foreign=replace(FOREIGN.foreign, directions_alone=True),
)

pytestmark = pytest.mark.filterwarnings("ignore:.* scope")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """`models(hyper, count)`: files of so many models of random weights, with uncertainties."""
    folder = tmp_path_factory.mktemp("models")

    def make(hyper, count):
        paths = []
        for seed in range(count):
            checkpoint = random_checkpoint(hyper, seed)
            potential = Potential(checkpoint)
            features = potential._evaluator.features(
                potential.graph([METHANOL]), EvaluationRequest(10**9)
            )
            checkpoint.uncertainty = torch.eye(features.shape[1], dtype=torch.float64)
            paths.append(folder / f"{len(hyper.properties)}_{seed}.safetensors")
            save_checkpoint(checkpoint, paths[-1])
        return [str(path) for path in paths]

    return make


def replies(paths, device, output, extras):
    options = EvaluationOptions(device=device, dtype="float64")
    service = Service(
        Committee(paths, options), System.from_atoms(METHANOL), output, extras, most_force=1e6
    )
    cells = np.stack([atoms.cell.array for atoms in BEADS])
    return service.evaluate(Request(cells, np.stack([atoms.positions for atoms in BEADS])))


@pytest.mark.parametrize(
    ("hyper", "count", "output", "extras"),
    [
        (WITH_DIPOLE, 2, "ecse", EXTRAS),
        (WITH_DIPOLE, 1, "difference", ("energies",)),
        (WITH_DIRECT_FORCES, 1, "direct_difference", ("energy_uncertainty",)),
    ],
    ids=["committee", "difference", "direct"],
)
def test_service(models, hyper, count, output, extras):
    paths = models(hyper, count)
    expected = replies(paths, "cpu", output, extras)
    with PretendedGpu() as gpu:
        found = replies(paths, "cuda", output, extras)
        assert gpu.account.kernels.total() > 1000
    assert len(found) == len(BEADS)
    for reply, wanted in zip(found, expected, strict=True):
        assert reply.energy == pytest.approx(wanted.energy, rel=1e-12, abs=1e-11)
        np.testing.assert_allclose(reply.forces, wanted.forces, atol=1e-10)
        np.testing.assert_allclose(reply.virial, wanted.virial, atol=1e-10)
        same_extras(reply.extras, wanted.extras)
        assert set(extras) <= set(reply.extras)


@pytest.fixture
def gpu_in_its_thread(monkeypatch):
    """The pretended GPU for what the PES does in its own thread: a mode belongs to a thread."""
    from pet_driver.engines.ipi import pes

    def enter() -> None:
        torch._C._set_only_lift_cpu_tensors(True)  # likewise a setting of each thread
        TorchDispatchMode.__enter__(PretendedGpu.current)

    def executor(max_workers: int) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers, initializer=enter)

    with PretendedGpu() as gpu:
        monkeypatch.setattr(pes, "ThreadPoolExecutor", executor)
        yield gpu


def test_pes(models, gpu_in_its_thread, tmp_path):
    pytest.importorskip("ipi")
    from pet_driver.engines.ipi.pes import PetDriver

    ase.io.write(tmp_path / "init.xyz", METHANOL, format="extxyz", parallel=False)
    given = {"template": str(tmp_path / "init.xyz"), "model": ";".join(models(WITH_DIPOLE, 2))}
    given |= {"dtype": "float64", "extras": "energies;dipole;committee_force", "most_force": 1e6}
    found, expected = {}, {}
    for device, results in (("cuda", found), ("cpu", expected)):
        driver = PetDriver(device=device, **given)
        cells = [atoms.cell.array.T / BOHR for atoms in BEADS]
        results["several"] = driver.compute(cells, [x.positions / BOHR for x in BEADS])
        results["one"] = [driver.compute(cells[1], BEADS[1].positions / BOHR)]
        driver._thread.shutdown()
    assert gpu_in_its_thread.account.kernels.total() > 1000
    assert len(gpu_in_its_thread.account.threads) == 1
    for name, wanted in expected.items():
        for reply, same in zip(found[name], wanted, strict=True):
            for x, y in zip(reply[:3], same[:3], strict=True):
                np.testing.assert_allclose(x, y, atol=1e-11)
            same_extras(json.loads(reply[3]), json.loads(same[3]))


@pytest.mark.parametrize("hyper", [WITH_DIPOLE, WITH_DIRECT_FORCES], ids=["dipole", "foreign"])
def test_ase(models, hyper):
    """ASE's calculator, the second time without one of the atoms."""
    (path,) = models(hyper, 1)

    def results(device):
        calculator = PETCalculator(path, device=device, dtype="float64")
        found = []
        for atoms in (BEADS[1], METHANOL[:-1]):
            atoms = atoms.copy()
            atoms.calc = calculator
            atoms.get_forces()
            found.append({**calculator.results, "stress": atoms.get_stress()})
        return found

    expected = results("cpu")
    with PretendedGpu():
        found = results("cuda")
    for one, wanted in zip(found, expected, strict=True):
        same_extras(one, wanted)


def same_extras(found, wanted):
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-10, atol=1e-10, err_msg=name)
