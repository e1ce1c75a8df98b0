"""The loss, the optimizers, and trainings that are shared, interrupted, or start from a model."""

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import ase.io
import numpy as np
import psutil
import pytest
import torch
import yaml
from ase import Atoms
from ase.neighborlist import neighbor_list
from safetensors.torch import load_file

from helpers import environment
from labelled import OPTIONS, crystals, molecules
from pet_driver import PetDriverError, load_model
from pet_driver.cli.main import main
from pet_driver.evaluation.evaluation import EvaluationRequest
from pet_driver.evaluation.potential import Potential
from pet_driver.evaluation.rotation_error import random_rotations, rotated
from pet_driver.evaluation.scopes import Evaluator
from pet_driver.files.checkpoint import load_checkpoint, save_checkpoint
from pet_driver.model import zbl_energies
from pet_driver.training import Training, read_options
from pet_driver.training.accuracy import SYMMETRIZATION
from pet_driver.training.loss import Counts, loss, predict
from pet_driver.training.order import Order, grouped

SOLID = {
    "data": {
        "file": "solid.xyz",
        "energy_key": "E",
        "forces_key": "F",
        "stress_key": "S",
        "validation": 3,
        "test": 2,
    },
    "model": {**OPTIONS["model"], "cutoff": 4.5},
}
DIPOLES = {
    "data": {
        "file": "water.xyz",
        "property_keys": {"dipole": "mu"},
        "property_units": {"dipole": "e*angstrom"},
        "validation": 4,
        "test": 4,
    },
    "model": {**OPTIONS["model"], "properties": {"dipole": 1}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("fitting")
    ase.io.write(path / "solid.xyz", crystals(12), format="extxyz")
    ase.io.write(path / "water.xyz", molecules(40), format="extxyz")
    return path


def options_file(folder, name, sections, **fit):
    path = folder / f"{name}.yaml"
    content = {**OPTIONS, **sections, "fit": {**OPTIONS["fit"], "steps": 8, **fit}}
    path.write_text(yaml.safe_dump(content))
    return path


def training(folder, output, sections, **fit):
    path = options_file(folder, output.name, sections, **fit)
    return Training(read_options(path), folder, output)


def test_gradient_of_the_loss_is_its_derivative(folder, tmp_path):
    """Energies, forces, stress and frames together, in float64, along a random direction."""
    sections = {**SOLID, "model": {**SOLID["model"], "frames": "accuracy"}}
    weights = {"energy_weight": 3.0, "stress_weight": 5.0}
    weights |= {"energy_variance_weight": 1.0, "symmetrization_weight": 1.0}
    run = training(folder, tmp_path / "run", sections, **weights)
    network = run.state.network.double()
    frames = run.split.training[:2]
    batch, target = run.batches.make(frames)
    sizes = torch.tensor(batch.sizes, dtype=torch.float64)

    def value():
        estimate = predict(network, batch, EvaluationRequest(weights_too=True, variances=True))
        return loss(estimate, target, sizes, run.options.fit, 1.0, Counts.of(frames))

    value().backward()
    torch.manual_seed(0)
    weights = [p for p in network.parameters() if p.grad is not None]
    ways = [torch.randn_like(p) for p in weights]
    slope = sum((p.grad * d).sum() for p, d in zip(weights, ways, strict=True)).item()
    values = []
    for sign in (1.0, -2.0):
        with torch.no_grad():
            for p, d in zip(weights, ways, strict=True):
                p.add_(d, alpha=sign * 1e-5)
        values.append(value().item())
    assert (values[0] - values[1]) / 2e-5 == pytest.approx(slope, rel=1e-6)


def test_drawn_frames_estimate_the_variances_over_all(folder, tmp_path):
    """Of the energies of one message layer, whose frames are drawn once."""
    sections = {**SOLID, "model": {**SOLID["model"], "message_layers": 1, "frames": "accuracy"}}
    run = training(folder, tmp_path / "run", sections, frames_drawn=3, random_turns=False)
    network, (graph, _) = run.state.network.double(), run.batches.make(run.split.training[:1])
    expected = predict(network, graph).energy_variance
    draws = []
    for step in range(200):
        sampler = run.gradients._sampling(step, len(expected), 0, len(expected))
        request = EvaluationRequest(sampler=sampler, variances=True)
        draws.append(predict(network, graph, request).estimated_from(3).energy_variance)
    found = torch.stack(draws).mean(0)
    assert found.sum().item() == pytest.approx(expected.sum().item(), rel=0.1)


def test_random_turns_are_those_of_plain_pet(folder, tmp_path):
    """Turned at random, drawn frames give the average over all orientations, without frames."""
    sections = {**SOLID, "model": {**SOLID["model"], "message_layers": 1}}
    run = training(folder, tmp_path / "run", sections, random_turns=True)
    network, (graph, _) = run.state.network.double(), run.batches.make(run.split.training[:1])
    n_atoms, turned, plain = graph.sizes[0], [], []
    for step, rotation in enumerate(random_rotations(250)):
        sampler = run.gradients._sampling(step, n_atoms, 0, n_atoms)
        turned.append(predict(network, graph, EvaluationRequest(sampler=sampler)).energies)
        some, _ = run.batches.make(run.split.training[:1], rotation[None])
        request = EvaluationRequest(gradient=False)
        plain.append(Evaluator(network, "none").evaluate(some, request).energies.sum())
    # Each atom turns on its own: the mean is the same, the scatter is not.
    scatter = torch.stack(plain).std().item()
    difference = torch.stack(turned).mean() - torch.stack(plain).mean()
    assert abs(difference.item()) < 4.0 * scatter / np.sqrt(len(plain))
    assert scatter > 0.0


def test_training_and_potential_give_the_same_stress(folder, tmp_path):
    run = training(folder, tmp_path / "run", SOLID)
    path = run.run()
    comparison = run.comparisons(run.split.test)[0]
    with torch.no_grad():
        potential = Potential(load_checkpoint(path), dtype="float64")
    system = run.split.test[0].system
    prediction = potential.compute(system)
    stress = prediction.stress(run.split.test[0].volume)
    np.testing.assert_allclose(comparison.stress[0], stress, atol=1e-6)
    np.testing.assert_allclose(comparison.forces[0], prediction.forces, atol=1e-4)
    assert comparison.energy[0] == pytest.approx(prediction.energy, abs=1e-4)
    errors = load_checkpoint(path).card["errors"]["test"]
    (expected,) = potential.symmetrization_forces([system])
    np.testing.assert_allclose(comparison.symmetrization, expected, atol=1e-4)
    assert {"symmetrization_rms_meV_per_angstrom"} <= set(errors)
    assert {"stress_rmse_GPa", "virial_rmse_meV_per_atom", "energy_mae_meV_per_atom"} <= set(errors)


def test_energies_of_atoms_are_compared_without_their_baseline(folder, tmp_path):
    """Of a structure whose labels differ from a model's energies, and of one without labels."""
    run = training(folder, tmp_path / "run", SOLID)
    potential = Potential(load_checkpoint(run.run()), dtype="float64")
    frames = [replace(frame, labels=replace(frame.labels)) for frame in run.split.test[:2]]
    network, unit = run.state.averaged_network.double(), run.batches.scales.energy
    energies = potential.compute(frames[0].system).energies
    shifts = np.where(np.arange(len(energies)) % 2, 0.3, 0.1)
    frames[0].labels.atom_energies = energies + shifts
    graph, labels = run.batches.make(frames, random_rotations(2))
    sizes = torch.tensor(graph.sizes, dtype=torch.float64)
    none = replace(run.options.fit, force_weight=0.0, stress_weight=0.0, energy_weight=0.0)
    fit = replace(none, atom_energy_weight=3.0, symmetrization_weight=0.0)
    value = loss(predict(network, graph), labels, sizes, fit, unit, Counts.of(frames))
    assert value.item() == pytest.approx(3.0 * shifts.var() / unit**2, rel=1e-3)


def test_dipoles_are_learned_and_covariant(folder, tmp_path, capsys):
    # Without turns, which take more steps to learn.
    fit = {"steps": 150, "batch_size": 4, "validate_every": 50, "random_turns": False}
    path = options_file(tmp_path, "dipoles", DIPOLES, **fit)
    out = tmp_path / "out"
    assert main(["train", str(path), "--data-folder", str(folder), "-o", str(out)]) == 0
    model = load_model(out / "tiny.safetensors", dtype="float64")
    errors = model.card["errors"]["test"]
    assert errors["dipole_rmse"] < 0.6 * errors["dipole_spread"]
    assert model.property_units == {"dipole": "e*angstrom"}
    atoms = ase.io.read(folder / "water.xyz", 0)
    still = model.compute(atoms).total("dipole")
    for rotation in random_rotations(3):
        turned = model.compute(rotated(atoms, rotation)).total("dipole")
        np.testing.assert_allclose(turned, rotation @ still, atol=1e-12)
    assert all((out / name).stat().st_size for name in ("log.csv", "curves.png", "parity.png"))

    report = tmp_path / "report"
    arguments = ["eval", str(out / "tiny.safetensors"), str(folder / "water.xyz")]
    labels = ["--property-key", "dipole=mu"]
    assert main([*arguments, "--report", str(report), *labels]) == 0
    with (report / "errors.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert int(row["structures"]) == 40
    assert float(row["dipole_rmse"]) == pytest.approx(errors["dipole_rmse"], rel=0.5)
    assert "rotation error" in capsys.readouterr().out
    assert main([*arguments, "--report", str(report), "--property-key", "mu=mu"]) == 2
    assert "NAME=KEY with an output of the model (dipole)" in capsys.readouterr().err


def test_random_rotations_leave_the_loss_of_a_model_with_frames(folder, tmp_path):
    """Structures and labels are rotated together."""
    losses = []
    for rotate in (False, True):
        # Huber's loss of components is not a function of lengths: turning would change it.
        fit = {"rotate": rotate, "sampled_share": 0.0, "force_loss": "mse"}
        run = training(folder, tmp_path / f"rotate_{rotate}", DIPOLES, **fit)
        losses.append([run.take_step() for _ in range(4)])
    np.testing.assert_allclose(*losses, rtol=1e-4)
    plain = training(
        folder, tmp_path / "plain", {**DIPOLES, "model": {**DIPOLES["model"], "scope": "none"}}
    )
    assert plain.gradients.rotate


def train_in_processes(folder, path, out, count):
    command = [sys.executable, "-m", "pet_driver.cli.main", "train", str(path), "-o", str(out)]
    command += ["--data-folder", str(folder), "--processes", str(count)]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=300)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "draws"),
    [
        ("adamw", {}),
        ("muon", {"random_turns": True, "frames_drawn": 2, "energy_variance_weight": 1.0}),
    ],
    ids=["adamw", "muon"],
)
def test_two_processes_train_like_one(folder, tmp_path, optimizer, draws):
    fit = {
        **draws,
        "optimizer": optimizer,
        "batch_size": 3,
        "validate_every": 1,
        "sampled_share": 0.6,
        "learning_rate": 3e-4,
    }
    path = options_file(tmp_path, "shared", SOLID, **fit)
    logs, through_frames = [], []
    for count in (1, 2):
        out = tmp_path / f"out_{count}"
        done = train_in_processes(folder, path, out, count)
        assert done.returncode == 0, done.stderr
        with (out / "log.csv").open() as file:
            rows = list(csv.DictReader(file))
        columns = [k for k in rows[0] if k not in ("hours", SYMMETRIZATION)]
        logs.append([[float(row[k]) for row in rows] for k in columns])
        through_frames.append([float(row[SYMMETRIZATION]) for row in rows])
    assert len(logs[0][0]) == 8
    np.testing.assert_allclose(logs[0], logs[1], rtol=1e-4)
    # A difference of the frames' predictions, so float32 leaves fewer digits.
    np.testing.assert_allclose(*through_frames, rtol=1e-3)


@pytest.mark.slow
def test_two_processes_leave_alone_what_no_label_of_a_batch_concerns(tmp_path):
    """Heads of dipoles, of which one structure has any: Muon takes full steps along gradients."""
    frames = molecules(6)
    for atoms in frames[1:]:
        del atoms.info["mu"]
    ase.io.write(tmp_path / "few.xyz", frames, format="extxyz")
    data = {**DIPOLES["data"], "file": "few.xyz", "validation": 0, "test": 0}
    sections = {**DIPOLES, "data": {**data, "may_lack": ["dipole"]}}
    path = options_file(tmp_path, "few", sections, steps=9, batch_size=2, learning_rate=3e-3)
    states = []
    for count in (1, 2):
        done = train_in_processes(tmp_path, path, tmp_path / f"out_{count}", count)
        assert done.returncode == 0, done.stderr
        state = torch.load(tmp_path / f"out_{count}" / "state.pt", weights_only=True)
        states.append(state["network"])
    heads = {key: x for key, x in states[0].items() if key.startswith("property_heads")}
    assert heads
    for key, alone in heads.items():
        torch.testing.assert_close(states[1][key], alone, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_all_processes_end_when_one_is_killed(folder, tmp_path):
    path = options_file(tmp_path, "failing", SOLID, steps=10**6, validate_every=2)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "pet_driver.cli.main", "train", str(path), "-o", str(out)]
    command += ["--data-folder", str(folder), "--processes", "2"]
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment())
    try:
        deadline = time.monotonic() + 120
        while not (out / "log.csv").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        (second,) = psutil.Process(first.pid).children()
        second.kill()
        _, said = first.communicate(timeout=120)
    finally:
        first.kill()
        first.wait()
    assert first.returncode == 2
    assert "another process of this training has ended" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_killed_and_resumed_is_uninterrupted(folder, tmp_path):
    """SIGKILL in the middle, as soon as there is a state; the weights are the same bit for bit."""
    path = options_file(
        tmp_path, "kill", DIPOLES, steps=80, checkpoint_minutes=1e-4, validate_every=10
    )
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    command = [sys.executable, "-m", "pet_driver.cli.main", "train", str(path), "--data-folder"]
    command += [str(folder), "-o"]
    process = subprocess.Popen([*command, str(parts)], env=environment(), stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not (parts / "log.csv").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert process.poll() is None, "it ended before it could be killed"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    state = torch.load(parts / "state.pt", weights_only=True)
    assert 0 < state["step"] < 80
    assert not (parts / "tiny.safetensors").exists()
    for out in (parts, whole):
        subprocess.run([*command, str(out)], env=environment(), check=True, capture_output=True)
    resumed, uninterrupted = (load_file(out / "tiny.safetensors") for out in (parts, whole))
    for name, values in uninterrupted.items():
        torch.testing.assert_close(resumed[name], values, rtol=0, atol=0, msg=name)
    logs = []
    for out in (parts, whole):
        with (out / "log.csv").open() as file:
            logs.append([row["step"] for row in csv.DictReader(file)])
    assert logs[0] == logs[1] == [str(step) for step in range(10, 90, 10)]


def test_training_starts_from_a_model_file(folder, tmp_path):
    quick = {"optimizer": "adamw", "learning_rate": 3e-3}  # Muon is slow in the first 30 steps
    first = training(folder, tmp_path / "first", SOLID, steps=30, **quick)
    model = first.run()
    errors = first.errors(first.split.test)
    shifted = [atoms.copy() for atoms in ase.io.read(folder / "solid.xyz", ":")]
    for atoms, labelled in zip(shifted, crystals(12), strict=True):
        atoms.info.update(E=labelled.info["E"] + 7.0 * len(atoms), S=labelled.info["S"])
        atoms.arrays["F"] = labelled.arrays["F"]
    ase.io.write(tmp_path / "shifted.xyz", shifted, format="extxyz")
    data = {**SOLID["data"], "file": str(tmp_path / "shifted.xyz")}
    sections = {"data": data, "model": {}}
    new = training(tmp_path, tmp_path / "new", sections, start_from=str(model))
    kept = training(tmp_path, tmp_path / "kept", sections, start_from=str(model), baseline="keep")
    found = new.errors(new.split.test)
    assert found["force_rmse_meV_per_angstrom"] == pytest.approx(
        errors["force_rmse_meV_per_angstrom"], rel=1e-4
    )
    assert found["energy_rmse_meV_per_atom"] < 2 * errors["energy_rmse_meV_per_atom"] + 1.0
    assert kept.errors(kept.split.test)["energy_rmse_meV_per_atom"] > 6000.0
    scope = {"data": data, "model": {"scope": "none"}}
    plain = training(tmp_path, tmp_path / "plain", scope, start_from=str(model))
    assert plain.hyper.scope == "none"
    with pytest.raises(PetDriverError, match=r"model.width is 32, but tiny.* has 16; leave it out"):
        training(
            tmp_path, tmp_path / "bad", {**sections, "model": {"width": 32}}, start_from=str(model)
        )
    with pytest.raises(PetDriverError, match="the data contain Ar, which water does not know"):
        training(tmp_path, tmp_path / "bad", sections, start_from="water")
    labelled = {**sections, "data": {**data, "property_keys": {"dipole": "mu"}}}
    with pytest.raises(PetDriverError, match=r"names 'dipole', which the model does not have; add"):
        training(tmp_path, tmp_path / "bad", labelled, start_from=str(model))


def test_repulsion_may_be_added_to_a_model(folder, tmp_path):
    """No weight depends on it: far apart, nothing changes; close together, atoms repel."""
    model = training(folder, tmp_path / "first", SOLID, steps=1).run()
    sections = {**SOLID, "model": {"zbl_radii": [0.8]}}
    start = {"start_from": str(model), "baseline": "keep"}
    far = training(folder, tmp_path / "far", sections, learning_rate=0.0, steps=1, **start).run()
    z = load_checkpoint(far).hyper.species[0]
    before, after = (load_model(path, dtype="float64", scope="none") for path in (model, far))
    pairs = [Atoms([z, z], [(0, 0, 0), (0, 0, r)]) for r in (2.0, 1.7, 1.0)]
    # Of differences: a training moves the baseline by the mean error of the energies.
    (apart, close), (apart_with, close_with) = (
        np.diff([prediction.energy for prediction in potential.compute(pairs)])
        for potential in (before, after)
    )
    assert apart_with == pytest.approx(apart, abs=1e-9)
    assert close_with > close + 1.0


def test_scales_per_element_cannot_be_trained(folder, tmp_path):
    """Converted models may have them; without labels of the output they are kept."""
    path = training(folder, tmp_path / "dipoles", DIPOLES, steps=1).run()
    scales = {"dipole": [1.0, 2.0]}
    save_checkpoint(replace(load_checkpoint(path), property_scales=scales), tmp_path / "foreign")
    start = {"start_from": str(tmp_path / "foreign"), "steps": 1}
    with pytest.raises(PetDriverError, match="'dipole', which foreign scales element by element"):
        training(folder, tmp_path / "labelled", {**DIPOLES, "model": {}}, **start)
    unlabelled = {"data": {"file": "water.xyz", "validation": 4, "test": 4}, "model": {}}
    with pytest.warns(UserWarning, match="dipole of .*foreign has no labels here"):
        tuned = training(folder, tmp_path / "tuned", unlabelled, **start).run()
    assert load_checkpoint(tuned).property_scales == scales


def test_outputs_of_another_model_are_left_out(folder, tmp_path):
    """With their labels, their scales and their units."""
    path = training(folder, tmp_path / "dipoles", DIPOLES, steps=1).run()
    start = {"start_from": str(path), "steps": 1}
    data = {"file": "water.xyz", "validation": 4, "test": 4}
    other = {"model": {"properties": {"other": 1}}}
    labels = {"property_keys": {"other": "mu"}}
    tuned = training(
        folder, tmp_path / "tuned", {"data": {**data, **labels}, **other}, **start
    ).run()
    found = load_checkpoint(tuned)
    assert list(found.property_scales) == ["other"]
    assert found.property_units == {}
    both = {"property_keys": {"dipole": "mu", "other": "mu"}}
    with pytest.raises(PetDriverError, match="'dipole', which the model does not have"):
        training(folder, tmp_path / "both", {"data": {**data, **both}, **other}, **start)


def test_labels_without_a_unit_do_not_get_that_of_another_model(folder, tmp_path):
    path = training(folder, tmp_path / "dipoles", DIPOLES, steps=1).run()
    assert load_checkpoint(path).property_units == {"dipole": "e*angstrom"}
    data = {**DIPOLES["data"], "property_units": {}}
    start = {"start_from": str(path), "steps": 1}
    tuned = training(folder, tmp_path / "tuned", {"data": data, "model": {}}, **start).run()
    assert load_checkpoint(tuned).property_units == {}


def test_processes_begin_at_the_same_step(folder, tmp_path, monkeypatch):
    """Those on a machine that cannot see the folder of the first one would begin anew."""
    run = training(folder, tmp_path / "run", SOLID)
    monkeypatch.setattr(run.workers, "gather", lambda steps: [*steps, 7])
    with pytest.raises(PetDriverError, match="would begin at steps 0 and 7"):
        run.resume()


def test_patience_ends_a_training(folder, tmp_path):
    run = training(
        folder, tmp_path / "run", SOLID, steps=400, learning_rate=1e-9, validate_every=1, patience=2
    )
    run.run()
    assert run.state.counters.step < 30


def test_time_can_be_the_schedule(folder, tmp_path):
    run = training(
        folder, tmp_path / "run", SOLID, steps=10**6, schedule="time", max_time=2.0, warmup_steps=2
    )
    run.run()
    assert 2 < run.state.counters.step < 10**5
    assert run.schedule.rate(run.state.counters.step, run.state.counters.elapsed) == pytest.approx(
        0.0, abs=1e-6
    )


@pytest.mark.parametrize("normalization", ["layer", "rms"])
@pytest.mark.parametrize("node_width", [16, 24])
def test_bfloat16_is_near_float32(folder, tmp_path, node_width, normalization):
    """All frames are averaged: means of values in bfloat16 with weights in float32."""
    model = {**SOLID["model"], "node_width": node_width, "normalization": normalization}
    sections = {**SOLID, "model": model}
    options = {"sampled_share": 0.0, "energy_variance_weight": 1.0}
    values = [
        training(folder, tmp_path / name, sections, precision=name, **options).take_step()
        for name in ("float32", "bfloat16")
    ]
    assert values[0] != values[1]
    assert values[1] == pytest.approx(values[0], rel=0.05)


def test_muon_takes_full_steps_along_small_gradients(folder, tmp_path):
    """Only in matrices between hidden layers; other weights change as under AdamW."""
    moved, gradient = {}, {}
    name = "layers.0.transformer.0.mlp.w_in.weight"
    for optimizer in ("adamw", "muon"):
        options = {"optimizer": optimizer, "warmup_steps": 1, "weight_decay": 1e-12}
        run = training(folder, tmp_path / optimizer, SOLID, **options)
        before = {key: p.detach().clone() for key, p in run.state.network.named_parameters()}
        run.take_step()
        after = dict(run.state.network.named_parameters())
        moved[optimizer] = {key: (after[key] - p).detach() for key, p in before.items()}
        gradient[optimizer] = after[name].grad
    step = torch.linalg.svdvals(moved["muon"][name])
    along = torch.linalg.svdvals(gradient["muon"])
    full = 0.2 * run.options.fit.learning_rate * max(before[name].shape) ** 0.5
    assert 0.7 < step.max() / full < 1.3
    assert 0.6 < step[len(step) // 4] / full < 1.3
    assert along[len(step) // 4] < 0.5 * along.max()
    for key in ("layers.0.edge_embedder.weight", "layers.0.transformer.0.mlp.w_in.bias"):
        torch.testing.assert_close(moved["muon"][key], moved["adamw"][key])


def test_batches_are_closed_by_atoms():
    assert grouped([3, 3, 3, 9, 1, 1], 2, None) == [[0, 1], [2, 3], [4, 5]]
    assert grouped([3, 3, 3, 9, 1, 1], 2, 6) == [[0, 1], [2], [3], [4, 5]]


def test_order_continues_from_a_state():
    first, second = (Order([3] * 7, 2, None, seed) for seed in (1, 2))
    for _ in range(5):
        first.next()
    second.restore(first.state())
    assert [second.next() for _ in range(9)] == [first.next() for _ in range(9)]


def test_order_of_fewer_structures_begins_an_epoch():
    """Data that shrank between two runs of one training."""
    more, fewer = Order([3] * 7, 2, None, 1), Order([3] * 5, 2, None, 1)
    more.next()
    fewer.restore(more.state())
    assert sorted(i for _ in range(3) for i in fewer.next()) == [0, 1, 2, 3, 4]


def test_weights_that_are_not_finite_stop_the_training(folder, tmp_path):
    run = training(folder, tmp_path / "run", SOLID)
    with torch.no_grad():
        run.state.network.layers[0].compress_out.bias[0] = float("nan")
    with pytest.raises(PetDriverError, match="the loss is nan at step 0; lower"):
        run.take_step()


def test_baseline_leaves_the_repulsion_of_nuclei_out(tmp_path):
    """Energies that are a constant per atom and the repulsion give that constant."""
    atoms = crystals(12)
    number = int(atoms[0].numbers[0])
    for one in atoms:
        lengths = torch.as_tensor(neighbor_list("d", one, 4.0))
        numbers = torch.full(lengths.shape, number)
        pairs = zbl_energies(lengths, (numbers, numbers), torch.full_like(lengths, 4.0))
        one.info["E"] = -3.0 * len(one) + float(pairs.sum())
    ase.io.write(tmp_path / "solid.xyz", atoms, format="extxyz")
    sections = {**SOLID, "model": {**SOLID["model"], "zbl_radii": [2.0]}}
    run = training(tmp_path, tmp_path / "run", sections)
    assert run.scales.baseline == pytest.approx([-3.0], abs=1e-6)


def test_a_lower_beta2_forgets_former_gradients(folder, tmp_path):
    """After the first step, which it does not change, weights move as its own formula says."""
    name, moved = "layers.0.edge_embedder.weight", {}
    for beta2 in (0.999, 0.5):
        options = {"optimizer": "adamw", "warmup_steps": 1, "weight_decay": 1e-12}
        run = training(folder, tmp_path / str(beta2), SOLID, adamw_beta2=beta2, **options)
        weight = dict(run.state.network.named_parameters())[name]
        gradients, weights = [], [weight.detach().clone()]
        for _ in range(2):
            run.take_step()
            gradients.append(weight.grad.clone())
            weights.append(weight.detach().clone())
        mean = (0.9 * 0.1 * gradients[0] + 0.1 * gradients[1]) / (1.0 - 0.9**2)
        square = (beta2 * gradients[0] ** 2 + gradients[1] ** 2) * (1.0 - beta2)
        square = square / (1.0 - beta2**2)
        rate = run.options.fit.learning_rate * run.schedule.rate(1, 0.0)
        expected = -rate * mean / (square.sqrt() + 1e-8)
        torch.testing.assert_close(weights[2] - weights[1], expected, rtol=2e-3, atol=1e-7)
        moved[beta2] = weights
    torch.testing.assert_close(moved[0.999][1], moved[0.5][1])
    assert not torch.equal(moved[0.999][2], moved[0.5][2])
