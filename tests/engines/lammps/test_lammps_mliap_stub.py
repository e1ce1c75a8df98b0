"""Stubs of `pair_style mliap unified`, of today and of former versions."""

import pickle
import warnings
from pathlib import Path

import torch

from pet_driver.cli.main import main
from pet_driver.engines.lammps.mliap import PetUnified
from pet_driver.evaluation.options import EvaluationOptions
from pet_driver.files.checkpoint import load_checkpoint
from pet_driver.parallel import NodePlace

# Exported by version 0.1, in which the class was in pet_driver.engines.lammps_mliap.
FORMER = Path(__file__).parents[2] / "data" / "stub_0_1.mliap.pt"


def test_a_stub_of_version_0_1_is_loaded():
    assert b"pet_driver.engines.lammps_mliap" in FORMER.read_bytes()
    stub = torch.load(FORMER, weights_only=False)  # as LAMMPS does
    assert type(stub) is PetUnified
    assert stub.element_types == ["H", "O"]
    assert stub.ndescriptors == stub.nparams == 1
    options = EvaluationOptions.from_keywords(**stub.options)
    assert options == EvaluationOptions(dtype="float64", scope="layer")
    again = pickle.loads(pickle.dumps(stub))
    assert again.__getstate__() == stub.__getstate__()


def test_an_exported_stub_loads_the_model_with_its_options(tmp_path, model_file, capsys):
    path = tmp_path / "model.mliap.pt"
    words = ["export-mliap", str(model_file), "-o", str(path), "--device", "cuda:7"]
    words += ["--dtype", "float64", "--parity", "--extra-rotations", "2", "--memory-share", "0.2"]
    assert main(words) == 0
    assert "pair_coeff * * H C O" in capsys.readouterr().out
    stub = torch.load(path, weights_only=False)
    assert stub.digest == load_checkpoint(model_file).digest
    assert stub.options == {
        "device": "cuda:7",
        "dtype": "float64",
        "scope": "layer",
        "parity": True,
        "extra_rotations": 2,
        "memory_share": 0.2,
    }
    stub.options["device"] = "cpu"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        potential = stub._load(NodePlace(0, 2, 1, 0, 2))
    assert potential.options.parity
    assert potential.options.memory_share == 0.1
