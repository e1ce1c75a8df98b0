"""Training on labels that a random model made: they can be learned, so the errors must fall."""

import dataclasses
import datetime
import os
import warnings

import ase.io
import numpy as np
import pytest
import torch
import yaml

from labelled import OPTIONS, crystals, molecules
from pet_driver import PetDriverError, load_model
from pet_driver.cli.main import main
from pet_driver.engines.ase import attach_results
from pet_driver.files.checkpoint import load_checkpoint
from pet_driver.training import Training, read_options, workers
from pet_driver.training.data import read_frames, read_split
from pet_driver.training.options import DataOptions
from pet_driver.training.results import write_results
from pet_driver.training.workers import Workers


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Stretched water molecules, labelled with a spring between the atoms of each bond."""
    path = tmp_path_factory.mktemp("training")
    ase.io.write(path / "data.xyz", molecules(30), format="extxyz")
    (path / "options.yaml").write_text(yaml.safe_dump(OPTIONS))
    return path


def training(folder, output, **fit):
    options = {**OPTIONS, "fit": {**OPTIONS["fit"], **fit}}
    path = output / "options.yaml"
    path.write_text(yaml.safe_dump(options))
    return Training(read_options(path), folder, output / "run")


def test_errors_fall_and_the_model_file_works(folder, tmp_path):
    before = training(folder, tmp_path)
    start = before.errors(before.split.test)["force_rmse_meV_per_angstrom"]
    arguments = ["train", str(folder / "options.yaml"), "-o", str(tmp_path / "out")]
    assert main(arguments) == 0
    model = load_model(tmp_path / "out" / "tiny.safetensors", dtype="float64")
    errors = model.card["errors"]["test"]["force_rmse_meV_per_angstrom"]
    assert errors < 0.7 * start
    test = [ase.io.read(folder / "data.xyz", i) for i in model.card["data"]["indices"]["test"]]
    deviations = [attach_results(a, model.compute(a)).get_forces() - a.get_forces() for a in test]
    rmse = 1e3 * np.sqrt(np.mean(np.square(deviations)))
    assert rmse == pytest.approx(errors, rel=1e-3)


def test_the_symmetrization_force_is_on_the_card_and_warned_about(folder, tmp_path):
    """Ten times the force error, made up, is too large; a hundredth of it is not."""
    run = training(folder, tmp_path, steps=2)
    card = load_checkpoint(run.run()).card
    errors = card["errors"]["test"]
    assert errors["symmetrization_rms_meV_per_angstrom"] > 0.0
    assert "symmetrization_rms_meV_per_angstrom" in (tmp_path / "run" / "log.csv").read_text()
    model = load_checkpoint(tmp_path / "run" / "tiny.safetensors")
    found = run.comparisons(run.split.test)
    scale = 1e-3 * errors["force_rmse_meV_per_angstrom"]
    for factor, many in ((10.0, 1), (0.01, 0)):
        for comparison in found:
            comparison.symmetrization = np.full((comparison.atoms, 3), factor * scale)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            write_results(tmp_path, model, {"test": found})
        sentences = [
            str(x.message) for x in caught if "a third of the force error" in str(x.message)
        ]
        assert len(sentences) == many


def test_the_mean_energy_error_is_absorbed_into_the_baseline(folder, tmp_path):
    run = training(folder, tmp_path, steps=5, baseline="new")
    run.run()
    errors = [(c.energy[0] - c.energy[1]) / c.atoms for c in run.comparisons(run.split.training)]
    assert abs(np.mean(errors)) < 1e-6 < np.std(errors)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_resumed_training_is_the_same_training(folder, tmp_path, optimizer):
    whole_folder, parts_folder = tmp_path / "whole", tmp_path / "parts"
    for path in (whole_folder, parts_folder):
        path.mkdir()
    whole = training(folder, whole_folder, steps=12, optimizer=optimizer)
    whole.run()
    first = training(folder, parts_folder, steps=12, optimizer=optimizer, max_time=0.0)
    while first.state.counters.step < 5:
        first.take_step()
    first.folder.mkdir()
    first.save_state()
    second = training(folder, parts_folder, steps=12, optimizer=optimizer)
    second.resume()
    assert second.state.counters.step == 5
    second.run()
    networks = whole.state.network, second.state.network
    for a, b in zip(*(network.parameters() for network in networks), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_states_of_earlier_versions_can_be_resumed(folder, tmp_path):
    """The keys of the file and the types of its values stay."""
    run = training(folder, tmp_path, steps=3)
    run.run()
    path = tmp_path / "run" / "state.pt"
    state = torch.load(path, weights_only=True)
    networks = {"network", "average", "optimizer"}
    counters = {"step", "seen", "elapsed", "best", "worse"}
    later = {"data", "hyperparameters", "energy", "properties"}
    assert set(state) == {*networks, *counters, *later, "shuffle", "queue", "baseline"}
    for key in later:  # which the first versions did not write
        del state[key]
    assert set(state["optimizer"]) == {"parts"}
    assert {key for key in state["average"] if not key.startswith("module.")} == {"n_averaged"}
    assert all(type(state[key]) in (int, float) for key in counters)
    assert type(state["baseline"]) is type(state["queue"]) is list
    state.update(step=2, seen=4, elapsed=5.0, best=6.0, worse=7, baseline=[8.0, 9.0])
    torch.save(state, path)
    resumed = training(folder, tmp_path, steps=3)
    resumed.resume()
    assert dataclasses.asdict(resumed.state.counters) == {key: state[key] for key in counters}
    assert resumed.batches.scales.baseline == resumed.scales.baseline == [8.0, 9.0]


def test_former_names_of_options(tmp_path):
    path = tmp_path / "options.yaml"
    former = {"energy_spread_weight": 2.0, "message_spread_weight": "3e-1"}
    path.write_text(yaml.safe_dump({**OPTIONS, "fit": former}))
    fit = read_options(path).fit
    assert (fit.energy_variance_weight, fit.message_variance_weight) == (2.0, 0.3)
    path.write_text(yaml.safe_dump({**OPTIONS, "fit": {**former, "energy_variance_weight": 1.0}}))
    with pytest.raises(PetDriverError, match=r"fit.energy_spread_weight is a former name of fit"):
        read_options(path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"fit": {"lerning_rate": 1e-3}}, "did you mean 'learning_rate'"),
        ({"fit": {"steps": "many"}}, "fit.steps is 'many'"),
        ({"fit": {"learning_rate": "fast"}}, "fit.learning_rate is 'fast'; it must be a number"),
        ({"fit": {"energy_weight": [1.0]}}, "fit.energy_weight is [1.0]; it must be one number"),
        ({"model": {"widht": 3}}, "did you mean 'width'"),
        ({"model": {"width": 30}}, "width 30 cannot be shared"),
        ({"data": {"file": "nowhere.xyz"}}, "there is no data file"),
        (
            {"data": {"file": "data.xyz", "energy_key": "E0"}},
            "frame 0 of data.xyz has no 'E0'; it has",
        ),
        ({"data": {"file": "data.xyz", "test": 40}}, "lower data.validation or data.test"),
        ({"datta": {}}, "did you mean 'data'"),
        ({"fit": {"learning_rate": "nan"}}, "fit.learning_rate is nan"),
        ({"fit": {"batch_size": 0}}, "fit.batch_size is 0; it must be a number from 1 on"),
        ({"fit": 3}, "the section fit is 3"),
        ({"data": {"file": "data.xyz", "test": -1}}, "data.test is -1"),
        ({"model": {"width": "many"}}, "model.width is 'many'"),
        ({"model": {"frames": {"margn": 1}}}, "did you mean 'margin'"),
        ({"card": "water"}, "the section card is 'water'"),
        (
            {"data": {"file": "data.xyz", "energy_unit": "ev"}},
            "is 'ev'; known are",
        ),
        ({"data": {"file": "data.xyz", "stress_kind": "strain"}}, "must be one of stress, virial"),
        ({"data": {"file": "data.xyz", "may_lack": "force"}}, "data.may_lack names 'force'; known"),
        (
            {"data": {"file": "data.xyz", "property_keys": {"mu": "mu"}}},
            "add it to model",
        ),
        (
            {"data": {"file": "data.xyz", "never_held_out": ["last"]}},
            "must be a list of positions",
        ),
        ({"data": {"file": ["data.xyz", "b.xyz"]}}, "there is no data file"),
        ({"fit": {"schedule": "time"}}, "fit.max_time must be given"),
        ({"fit": {"force_loss": "l1"}}, "fit.force_loss is 'l1'; it must be one of huber, mse"),
        ({"fit": {"start_from": "nothing"}}, "there is no model 'nothing'"),
        ({"fit": {"rotate": "maybe"}}, "must be one of True, False"),
        ({"fit": {"clip_norm": 0}}, "fit.clip_norm is 0; it must be more than 0"),
        ({"fit": {"huber_delta": 0.0}}, "fit.huber_delta is 0.0; it must be more than 0"),
        ({"fit": {"ema_decay": 1}}, "the averaged weights never change"),
        ({"name": "a/b"}, "cannot be that of a file"),
        ({"fit": {"patience": 3}, "data": {**OPTIONS["data"], "validation": 0}}, "to validate on"),
        ({"fit": {"learning_rate": 10**400}}, "it must be a number"),
        ({"fit": {"learning_rate": True}}, "it must be one number"),
        ({"model": {"largest_charge": 2}}, "largest_charge is 2 without largest_spin"),
        ({"fit": {"atom_energy_weight": 1.0}}, "data files have no energies of single atoms"),
        ({"fit": {"adamw_beta2": 1}}, "the mean squared gradient never changes"),
        ({"fit": {"seed": 10**30}}, "fit.seed is 1000"),
        ({"model": {"properties": "dipole"}}, "the section model.properties is 'dipole'"),
        (
            {
                "model": {"properties": {"forces": 1}},
                "data": {**OPTIONS["data"], "property_keys": {"forces": "mu"}},
            },
            "the name of a result that every model gives",
        ),
        ({"model": {"properties": {"dipole": 1}}}, "which would stay random without labels"),
        *(
            (
                {
                    "model": {"properties": {"dipole": rank}},
                    "data": {**OPTIONS["data"], "property_keys": {"dipole": "mu"}},
                },
                f"gives 'dipole' the rank {rank!r}; use 1 for a vector",
            )
            for rank in ("vector", None, 1.0, 3)
        ),
        ({"data": {"file": "data.xyz", "may_lack": 5}}, "data.may_lack is 5; it must be a list"),
        (
            {"data": {"file": "data.xyz", "property_units": {"mu": "D"}}},
            "data.property_units names 'mu', which has no labels",
        ),
        ({"name": ""}, "gives no name"),
        ({"card": {"x": float("nan")}}, "the section card cannot be written"),
    ],
)
def test_options_are_checked_first(folder, tmp_path, capsys, change, sentence):
    path = tmp_path / "options.yaml"
    path.write_text(yaml.safe_dump({**OPTIONS, **change}))
    arguments = ["train", str(path), "--data-folder", str(folder), "-o", str(tmp_path / "run")]
    assert main(arguments) == 2
    assert sentence in capsys.readouterr().err


def test_an_ended_training_says_so(folder, tmp_path, capsys):
    path = tmp_path / "options.yaml"
    path.write_text(yaml.safe_dump({**OPTIONS, "fit": {"steps": 2}}))
    arguments = ["train", str(path), "--data-folder", str(folder), "-o", str(tmp_path / "run")]
    for sentence, there in (("has ended already", False), ("has ended already", True)):
        assert main(arguments) == 0
        assert (sentence in capsys.readouterr().err) == there
    (tmp_path / "run" / "log.csv").write_text("step,loss\n1,2.0\n2,1.2e-\n")
    assert main(arguments) == 0


def test_first_weights_are_forgotten_and_the_rate_falls_in_short_trainings(folder, tmp_path):
    run = training(folder, tmp_path, steps=20, warmup_steps=200, ema_decay=0.9999)
    rates = [run.schedule.rate(step, 0.0) for step in range(20)]
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] < 0.05
    start = {key: x.clone() for key, x in run.state.network.state_dict().items()}
    run.run()
    raw, averaged = run.state.network.state_dict(), run.state.averaged_network.state_dict()
    moved = sum((raw[key] - x).square().sum() for key, x in start.items())
    behind = sum((raw[key] - averaged[key]).square().sum() for key in start)
    assert behind < 0.1 * moved


def test_elements_must_be_in_training(tmp_path):
    ase.io.write(tmp_path / "data.xyz", molecules(4), format="extxyz")
    other = molecules(1)[0]
    other.numbers[0] = 16
    ase.io.write(tmp_path / "other.xyz", other, format="extxyz")
    data = {"file": "data.xyz", "validation": 1, "test": "other.xyz"}
    path = tmp_path / "options.yaml"
    path.write_text(yaml.safe_dump({**OPTIONS, "data": data}))
    with pytest.raises(PetDriverError, match="S occurs in validation or test structures only"):
        Training(read_options(path), tmp_path, tmp_path / "run")


@pytest.mark.parametrize("scope", ["layer", "none"])
def test_energies_alone_can_be_trained(tmp_path, scope):
    frames = molecules(6)
    for atoms in frames:
        del atoms.arrays["forces"]
    ase.io.write(tmp_path / "data.xyz", frames, format="extxyz")
    data = {"file": "data.xyz", "validation": 1, "test": 1, "may_lack": ["forces"]}
    fit = {"steps": 3, "symmetrization_weight": 0.0}
    path = tmp_path / "options.yaml"
    model = {**OPTIONS["model"], "scope": scope}
    path.write_text(yaml.safe_dump({**OPTIONS, "data": data, "model": model, "fit": fit}))
    assert Training(read_options(path), tmp_path, tmp_path / "run").run().exists()


def test_dates_on_a_card_are_texts(folder, tmp_path):
    path = tmp_path / "options.yaml"
    card = {"made": datetime.date(2026, 11, 30), "numbers": [1, 2]}
    path.write_text(yaml.safe_dump({**OPTIONS, "card": card, "fit": {"steps": 1}}))
    assert read_options(path).card == {"made": "2026-11-30", "numbers": [1, 2]}
    model = Training(read_options(path), folder, tmp_path / "run").run()
    assert main(["info", str(model)]) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.system.pbc.__setitem__(0, False),
        lambda frame: setattr(frame.system, "charge", 1),
        lambda frame: frame.labels.forces.__imul__(2.0),
        lambda frame: frame.labels.stress.__imul__(-1.0),
        lambda frame: frame.labels.properties.update(dipole=np.ones(3)),
    ],
    ids=["periodicity", "charge", "forces", "stress", "dipole"],
)
def test_data_are_told_apart_by_all_that_is_learned(tmp_path, change):
    ase.io.write(tmp_path / "data.xyz", crystals(4), format="extxyz")
    keys = {"energy_key": "E", "forces_key": "F", "stress_key": "S"}
    options = DataOptions("data.xyz", validation=1, test=1, **keys)
    split, same = read_split(tmp_path, options), read_split(tmp_path, options)
    assert split.digest() == same.digest()
    change(split.test[0])
    assert split.digest() != same.digest()


def test_hyperparameters_do_not_change_on_the_way(folder, tmp_path):
    training(folder, tmp_path, steps=1).run()
    options = {**OPTIONS, "model": {**OPTIONS["model"], "cutoff": 2.5}}
    path = tmp_path / "other.yaml"
    path.write_text(yaml.safe_dump(options))
    with pytest.raises(PetDriverError, match=r"a training with model.cutoff .* instead of 2.5"):
        Training(read_options(path), folder, tmp_path / "run").resume()


def test_scales_are_those_of_the_state(folder, tmp_path):
    """A model to start from, which had others, may not be named any more."""
    run = training(folder, tmp_path, steps=1)
    run.scales.energy, run.scales.properties = 7.0, {"dipole": 3.0}
    run.folder.mkdir()
    run.save_state()
    resumed = training(folder, tmp_path, steps=2)
    assert resumed.scales.energy != 7.0
    resumed.resume()
    assert resumed.batches.scales.energy == 7.0
    assert resumed.batches.scales.properties == {"dipole": 3.0}


def test_options_of_the_optimizer_are_those_of_the_file(folder, tmp_path):
    training(folder, tmp_path, steps=1).run()
    resumed = training(folder, tmp_path, steps=2, weight_decay=0.25, adamw_beta2=0.9)
    resumed.resume()
    for part in resumed.state.optimizer.parts:
        for group in part.param_groups:
            assert group["weight_decay"] == 0.25
            assert group.get("betas", (0.9, 0.9)) == (0.9, 0.9)


def test_impossible_frames_are_found_before_the_first_step(tmp_path):
    frames = molecules(30)
    frames[7].positions[1] = frames[7].positions[0]
    ase.io.write(tmp_path / "data.xyz", frames, format="extxyz")
    with pytest.raises(PetDriverError, match=r"frame 7 of data.xyz: atoms 0 and 1 are"):
        training(tmp_path, tmp_path, steps=1)


def test_a_training_is_not_resumed_with_other_data(folder, tmp_path):
    run = training(folder, tmp_path, steps=1)
    run.run()
    run.resume()
    assert run.ended
    run.forget()
    assert not (tmp_path / "run" / "state.pt").exists()
    run.save_state()
    ase.io.write(tmp_path / "data.xyz", molecules(30, seed=1), format="extxyz")
    other = training(tmp_path, tmp_path, steps=2)
    with pytest.raises(PetDriverError, match="other data, or another split"):
        other.resume()


def test_missing_options_file(tmp_path):
    with pytest.raises(PetDriverError, match="there is no options file"):
        read_options(tmp_path / "nothing.yaml")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", None], ids=["binary", "folder"])
def test_unreadable_options_files(tmp_path, content):
    path = tmp_path / "options.yaml"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(PetDriverError, match=r"cannot be read .*; give the path"):
        read_options(path)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (
            lambda atoms: atoms.positions.__setitem__((0, 0), np.nan),
            "frame 4 .* position",
        ),
        (lambda atoms: atoms.numbers.__setitem__(0, 0), "frame 4 .* give every atom an element"),
        (lambda atoms: atoms.set_pbc(True), "frame 4 .* lattice vector is zero"),
        (lambda atoms: atoms.info.update(energy=np.nan), "frame 4 of data.xyz has nan in 'energy'"),
        (
            lambda atoms: atoms.info.update(energy="low"),
            "frame 4 of data.xyz has 'low'",
        ),
        (
            lambda atoms: atoms.arrays["forces"].__setitem__(0, np.inf),
            "has inf in 'forces'",
        ),
        (lambda atoms: atoms.arrays.update(forces=np.ones(3)), "'forces' of shape \\(3,\\)"),
    ],
    ids=["position", "element", "cell", "energy", "word", "force", "shape"],
)
def test_bad_frames_are_found_before_training(folder, tmp_path, damage, sentence):
    frames = ase.io.read(folder / "data.xyz", index=":")
    for atoms in frames:
        atoms.info["energy"], atoms.arrays["forces"] = atoms.get_potential_energy(), np.ones((3, 3))
        atoms.calc = None
    damage(frames[4])
    ase.io.write(tmp_path / "data.xyz", frames, format="extxyz")
    with pytest.raises(PetDriverError, match=sentence):
        read_frames(tmp_path / "data.xyz", DataOptions("data.xyz"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("", "is empty"), ("no structure\n", "cannot be read: .* give extxyz"), ("0\n\n", "no atoms")],
    ids=["empty", "text", "no atoms"],
)
def test_unreadable_data_files(tmp_path, text, sentence):
    (tmp_path / "data.xyz").write_text(text)
    with pytest.raises(PetDriverError, match=sentence):
        read_frames(tmp_path / "data.xyz", DataOptions("data.xyz"))


def test_unusable_output_folders(folder, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    (tmp_path / "state.pt").write_bytes(b"damaged")
    for output, sentence in {"file": "cannot be made", ".": "add --restart"}.items():
        arguments = ["train", str(folder / "options.yaml"), "-o", str(tmp_path / output)]
        assert main(arguments) == 2
        assert sentence in capsys.readouterr().err


def test_yaml_with_merged_mappings(tmp_path):
    """A key may also stand in a mapping that is merged into its own."""
    path = tmp_path / "options.yaml"
    text = "name: x\ndata: {file: a}\n"
    text += "card: {one: &b {x: 1}, two: &d {<<: *b, x: 2}, three: {<<: *d}}\n"
    path.write_text(text)
    assert read_options(path).card["two"] == {"x": 2}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name: x\ndata: {file: a, file: b}\n", "the key 'file' occurs twice"),
        ("name: x\ndata: {file: a}\ncard: {made: 2024-02-30}\n", "day is out of range"),
    ],
    ids=["key", "day"],
)
def test_yaml_that_means_nothing(tmp_path, text, sentence):
    path = tmp_path / "options.yaml"
    path.write_text(text)
    with pytest.raises(PetDriverError, match=f"is not valid YAML: .*{sentence}"):
        read_options(path)


def test_data_without_labels(tmp_path):
    """As with misspelled keys, where structures may lack all labels."""
    frames = [atoms.copy() for atoms in molecules(8)]
    ase.io.write(tmp_path / "data.xyz", frames, format="extxyz")
    labels = {"energy_key": "e", "forces_key": "f", "may_lack": ["energy", "forces"]}
    options = {**OPTIONS, "data": {**OPTIONS["data"], **labels}}
    path = tmp_path / "options.yaml"
    path.write_text(yaml.safe_dump(options))
    with pytest.raises(PetDriverError, match="no structure to train on has any label"):
        Training(read_options(path), tmp_path, tmp_path / "run")


def test_large_seeds(folder, tmp_path):
    assert training(folder, tmp_path, steps=1, seed=2**62).run().exists()


@pytest.mark.parametrize(("given", "threads"), [("1", "1"), (None, "2")])
def test_threads_of_several_processes(monkeypatch, given, threads):
    """Each has as many as the user says, or its share of the cores that may be used."""
    monkeypatch.setattr(workers, "allowed_cores", lambda: [0, 1, 2, 3])
    # The environment is as before afterwards.
    monkeypatch.setattr(os, "environ", {**os.environ, "OMP_NUM_THREADS": given})
    if given is None:
        del os.environ["OMP_NUM_THREADS"]
    (other,) = workers.start_workers(2, ["--version"])
    assert other.wait(60) == 0
    assert os.environ["OMP_NUM_THREADS"] == threads


def test_processes_that_were_started_by_half(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(PetDriverError, match="WORLD_SIZE is 2, but RANK is not set"):
        training(folder, tmp_path, steps=1)
    assert Workers(alone=True).size == 1


def test_held_out_structures_that_are_trained_on(folder, tmp_path):
    options = {**OPTIONS, "data": {**OPTIONS["data"], "test": "data.xyz"}}
    path = tmp_path / "options.yaml"
    path.write_text(yaml.safe_dump(options))
    with pytest.warns(UserWarning, match=r"\d+ of the structures that are held out are among"):
        Training(read_options(path), folder, tmp_path / "run")
