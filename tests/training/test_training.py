"""Training on labels that a random model made: they can be learned, so the errors must fall."""

import ase.io
import numpy as np
import pytest
import torch
import yaml

from pet_driver import PetDriverError, load_model
from pet_driver.cli.main import main
from pet_driver.engines.ase import attach_results
from pet_driver.training import Training, read_options

OPTIONS = {
    "name": "tiny",
    "data": {"file": "data.xyz", "validation": 3, "test": 3},
    "model": {
        "cutoff": 3.5,
        "width": 16,
        "node_width": 16,
        "feedforward_width": 16,
        "head_width": 16,
        "heads": 2,
        "radial_waves": 8,
        "normalization": "layer",
    },
    "fit": {"steps": 60, "learning_rate": "3e-3", "warmup_steps": 5, "ema_decay": 0.8},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Stretched water molecules, labelled with a spring between the atoms of each bond."""
    path = tmp_path_factory.mktemp("training")
    rng = np.random.default_rng(0)
    rest = np.array([[0.0, 0.0, 0.0], [0.76, 0.59, 0.0], [-0.76, 0.59, 0.0]])
    frames = []
    for _ in range(30):
        positions = rest + 0.08 * rng.normal(size=rest.shape)
        atoms = ase.Atoms("OHH", positions)
        forces = np.zeros((3, 3))
        energy = -10.0
        for h in (1, 2):
            bond = positions[h] - positions[0]
            length = np.linalg.norm(bond)
            energy += 15.0 * (length - 0.96) ** 2
            pull = -30.0 * (length - 0.96) * bond / length
            forces[h] += pull
            forces[0] -= pull
        atoms.info["energy"], atoms.arrays["forces"] = energy, forces
        frames.append(atoms)
    ase.io.write(path / "data.xyz", frames, format="extxyz")
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


def test_resumed_training_is_the_same_training(folder, tmp_path):
    whole_folder, parts_folder = tmp_path / "whole", tmp_path / "parts"
    for path in (whole_folder, parts_folder):
        path.mkdir()
    whole = training(folder, whole_folder, steps=12)
    whole.run()
    first = training(folder, parts_folder, steps=12, max_time=0.0)
    while first.step < 5:
        first._one_step()
    first.folder.mkdir()
    first.save_state()
    second = training(folder, parts_folder, steps=12)
    second.resume()
    assert second.step == 5
    second.run()
    for a, b in zip(whole.network.parameters(), second.network.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"fit": {"lerning_rate": 1e-3}}, "did you mean 'learning_rate'"),
        ({"fit": {"steps": "many"}}, "fit.steps is 'many'"),
        ({"model": {"widht": 3}}, "did you mean 'width'"),
        ({"model": {"width": 30}}, "width 30 cannot be shared"),
        ({"data": {"file": "nowhere.xyz"}}, "there is no data file"),
        ({"data": {"file": "data.xyz", "energy_key": "E0"}}, "frame 0 has no 'E0'; it has"),
        ({"data": {"file": "data.xyz", "test": 40}}, "lower data.validation or data.test"),
        ({"datta": {}}, "did you mean 'data'"),
    ],
)
def test_options_are_checked_first(folder, tmp_path, capsys, change, sentence):
    path = tmp_path / "options.yaml"
    path.write_text(yaml.safe_dump({**OPTIONS, **change}))
    arguments = ["train", str(path), "--data-folder", str(folder), "-o", str(tmp_path / "run")]
    assert main(arguments) == 2
    assert sentence in capsys.readouterr().err


def test_missing_options_file(tmp_path):
    with pytest.raises(PetDriverError, match="there is no options file"):
        read_options(tmp_path / "nothing.yaml")
