"""Converted models trained further: training and potential give the same numbers."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
import yaml
from ase import Atoms
from ase.calculators.lj import LennardJones

from helpers import FOREIGN, FOREIGN_PAPER, ROOT, worst_change
from pet_driver.cli.main import main
from pet_driver.evaluation.evaluation import EvaluationRequest
from pet_driver.evaluation.potential import Potential
from pet_driver.files.checkpoint import load_checkpoint, random_checkpoint, save_checkpoint
from pet_driver.files.conversion import convert
from pet_driver.model import Hyperparameters
from pet_driver.training.loss import predict

CONVERTED = ROOT / "tests" / "data" / "metatrain" / "010.ckpt"


@pytest.mark.parametrize("scope", ["none", "layer"])
@pytest.mark.parametrize("hyper", [FOREIGN, FOREIGN_PAPER], ids=["modern", "paper"])
def test_training_and_potential_agree(hyper: Hyperparameters, scope: str, small_box: Atoms) -> None:
    checkpoint = random_checkpoint(replace(hyper, scope=scope))
    network = checkpoint.network(torch.float64, torch.device("cpu"))
    potential = Potential(checkpoint, dtype="float64")
    estimate = predict(network, potential.graph([small_box]), EvaluationRequest(weights_too=True))
    found = potential.compute(small_box)
    assert float(estimate.energies[0].detach()) == pytest.approx(found.energy, rel=1e-12)
    assert np.allclose(estimate.forces.detach().numpy(), found.forces, atol=1e-10)
    assert np.allclose(estimate.virials[0].detach().numpy(), found.virial, atol=1e-9)
    # Forces depend on the weights through the cutoffs of atoms too.
    estimate.forces.square().sum().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in network.parameters())


def test_ready_options(tmp_path: Path) -> None:
    """`fine_tune.yaml` with other data and few steps: exact, and nearer to its labels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save_checkpoint(convert(CONVERTED), tmp_path / "converted.safetensors")
    write_data(tmp_path)
    options = yaml.safe_load((ROOT / "pet_driver" / "models" / "fine_tune.yaml").read_text())
    options["data"].update(file="data.xyz", validation=3, test=3)
    options["fit"].update(
        start_from=str(tmp_path / "converted.safetensors"),
        schedule="steps",
        steps=60,
        warmup_steps=2,
        ema_decay=0.9,
    )
    del options["fit"]["max_time"]
    (tmp_path / "options.yaml").write_text(yaml.safe_dump(options))
    assert main(["train", str(tmp_path / "options.yaml"), "-o", str(tmp_path / "out")]) == 0
    tuned = load_checkpoint(tmp_path / "out" / "tuned.safetensors")
    before = load_checkpoint(tmp_path / "converted.safetensors")
    assert tuned.hyper.scope == "layer"
    assert tuned.hyper.foreign.adaptive_neighbors == before.hyper.foreign.adaptive_neighbors == 4.0
    frames = ase.io.read(tmp_path / "data.xyz", ":")
    exact = Potential(tuned, dtype="float64")
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    turn *= np.linalg.det(turn)
    assert worst_change(exact, frames[0], [turn]).max() < 1e-10
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        untuned = Potential(before, dtype="float64", scope="layer")
    errors = [
        np.sqrt(np.mean([(p.forces - a.get_forces()) ** 2 for p, a in zip(x, frames, strict=True)]))
        for x in (untuned.compute(frames), exact.compute(frames))
    ]
    assert errors[1] < errors[0]


def write_data(path: Path) -> None:
    """Small random clusters with a Lennard-Jones potential."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        species = convert(CONVERTED).hyper.species
    rng = np.random.default_rng(3)
    frames = []
    for _ in range(20):
        grid = np.array(list(np.ndindex(2, 2, 2)))[:6] * 1.9
        atoms = Atoms(rng.choice(species, len(grid)), grid + rng.normal(scale=0.1, size=grid.shape))
        atoms.calc = LennardJones(sigma=1.7, epsilon=0.2, rc=4.0)
        atoms.get_forces()
        frames.append(atoms)
    ase.io.write(path / "data.xyz", frames)
