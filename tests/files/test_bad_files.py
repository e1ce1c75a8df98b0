"""Files that are not PET checkpoints or contain code: one sentence, and nothing is executed."""

from __future__ import annotations

import gzip
import os
import pickle
import sys
from collections import OrderedDict
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
import yaml
from ase.build import bulk
from ase.data import chemical_symbols

from pet_driver.cli.main import main
from pet_driver.errors import PetDriverError
from pet_driver.files.checkpoint import load_checkpoint
from pet_driver.files.conversion import convert
from pet_driver.files.tensor_maps import read_table

WRITTEN = sorted((Path(__file__).parents[1] / "data" / "metatrain").glob("*.ckpt"))


class Hostile:
    """Would make a folder while it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (os.mkdir, (str(self.path),))


def sentence(path: Path, *arguments: object) -> str:
    with pytest.raises(PetDriverError) as caught:
        convert(path, *arguments)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 400
    return text


def test_code_is_not_run(tmp_path: Path) -> None:
    path, trace = tmp_path / "model.ckpt", tmp_path / "trace"
    torch.save({"architecture_name": "pet", "metadata": Hostile(trace)}, path)
    said = sentence(path)
    assert "mkdir" in said
    assert "could run code" in said
    assert not trace.exists()


@pytest.mark.parametrize("call", [eval, print, __import__, np.load])
def test_other_functions_are_named(tmp_path: Path, call: object) -> None:
    class Caller:
        def __reduce__(self) -> tuple:
            return (call, ("1",))

    path = tmp_path / "model.ckpt"
    torch.save({"epoch": Caller()}, path)
    assert "is not read" in sentence(path)


def test_a_bare_pickle_is_not_read(tmp_path: Path) -> None:
    path, trace = tmp_path / "model.ckpt", tmp_path / "trace"
    path.write_bytes(pickle.dumps(Hostile(trace)))
    assert "bare pickle" in sentence(path)
    assert not trace.exists()


def test_another_architecture(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    torch.save({"architecture_name": "soap_bpnn", "model_ckpt_version": 3}, path)
    assert "'soap_bpnn'; only PET" in sentence(path)


def test_not_of_metatrain(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    torch.save({"state_dict": OrderedDict(weight=torch.zeros(2))}, path)
    assert "not by metatrain" in sentence(path)


def test_exported_model(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)
    said = sentence(path)
    assert "TorchScript" in said
    assert ".ckpt" in said


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_truncated(tmp_path: Path, share: float) -> None:
    path = tmp_path / "model.ckpt"
    whole = WRITTEN[0].read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert "truncated" in sentence(path)


def test_damaged_everywhere(tmp_path: Path) -> None:
    """Bytes overwritten anywhere: a sentence or, where nothing depends on them, a model."""
    path, whole = tmp_path / "model.ckpt", WRITTEN[0].read_bytes()
    refused = 0
    for start in range(0, len(whole) - 40, max(len(whole) // 60, 1)):
        path.write_bytes(whole[:start] + b"\x85" * 40 + whole[start + 40 :])
        try:
            convert(path)
        except PetDriverError:
            refused += 1
    assert refused > 10


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a checkpoint of torch"),
        (b"hello", "not a checkpoint of torch"),
        (gzip.compress(b"x", mtime=0), "gunzip"),
    ],
)
def test_foreign_files(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "model.ckpt"
    path.write_bytes(content)
    assert said in sentence(path)


def changed(path: Path, change: dict) -> Path:
    """A checkpoint of metatrain's version 16 layout with only what the reader looks at first."""
    content = {"architecture_name": "pet", "model_ckpt_version": 16, **change}
    torch.save(content, path)
    return path


def test_a_version_to_come(tmp_path: Path) -> None:
    path = changed(tmp_path / "model.ckpt", {"model_ckpt_version": 99})
    assert "version 99" in sentence(path)


def test_without_weights(tmp_path: Path) -> None:
    assert "no weights" in sentence(changed(tmp_path / "model.ckpt", {"model_data": {}}))


def test_unknown_variant() -> None:
    assert "no energy called 'r2scan'" in sentence(WRITTEN[0], "r2scan")


def test_folders(tmp_path: Path) -> None:
    assert "hypers_used.yaml" in sentence(tmp_path)
    (tmp_path / "hypers_used.yaml").write_text("[1")
    assert "cannot be read" in sentence(tmp_path)
    (tmp_path / "hypers_used.yaml").write_text(yaml.safe_dump({"COMPRESS_MODE": "linear"}))
    assert "COMPRESS_MODE 'linear'" in sentence(tmp_path)
    (tmp_path / "hypers_used.yaml").write_text(yaml.safe_dump({"R_CUT": 3.0}))
    assert "best_val_rmse_both_model_state_dict" in sentence(tmp_path)
    torch.save(OrderedDict(), tmp_path / "last_state_dict")
    assert "not a complete folder" in sentence(tmp_path)
    (tmp_path / "all_species.npy").write_bytes(b"")
    assert "not a complete folder" in sentence(tmp_path)
    np.save(tmp_path / "all_species.npy", [1, 8])
    np.save(tmp_path / "self_contributions.npy", [-1.0])
    assert "1 energies of 2 species" in sentence(tmp_path)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    missing = tmp_path / "none.ckpt"
    assert main(["convert", str(missing)]) == 2
    assert capsys.readouterr().err.startswith("pet-driver: there is no file")
    output = tmp_path / "model.safetensors"
    assert main(["convert", str(WRITTEN[0]), "-o", str(tmp_path / "model.ckpt")]) == 2
    both = ["--frames", "speed", "--structure", "in.xyz"]
    assert main(["convert", str(WRITTEN[0]), "-o", str(output), *both]) == 2
    assert "--structure is for the choice of frames" in capsys.readouterr().err
    assert main(["convert", str(WRITTEN[0]), "-o", str(output)]) == 0
    assert "frames per atom, symmetrization force" in capsys.readouterr().out
    assert output.is_file()
    assert main(["info", str(output)]) == 0
    assert "metatrain PET, version 16" in capsys.readouterr().out
    # In a perfect crystal the forces of frames vanish for any choice; its atoms are displaced.
    symbol = chemical_symbols[load_checkpoint(output).hyper.species[-1]]
    ase.io.write(tmp_path / "crystal.xyz", bulk(symbol, "sc", a=2.0), format="extxyz")
    words = ["convert", str(WRITTEN[0]), "-o", str(output)]
    assert main([*words, "--structure", str(tmp_path / "crystal.xyz")]) == 0
    measured = load_checkpoint(output).card["frames"]["measured"]["speed"]
    assert measured["symmetrization_rms_meV_per_angstrom"] > 0.0


def test_a_checkpoint_where_a_model_is_wanted(capsys: pytest.CaptureFixture) -> None:
    assert main(["info", str(WRITTEN[0])]) == 2
    assert f"pet-driver convert {WRITTEN[0].name}" in capsys.readouterr().err


def test_a_damaged_table() -> None:
    with pytest.raises(ValueError, match="a damaged table"):
        read_table(torch.zeros(40, dtype=torch.uint8))


def test_a_folder_without_pyyaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hypers_used.yaml").write_text("R_CUT: 3.0")
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert "pip install pyyaml" in sentence(tmp_path)
