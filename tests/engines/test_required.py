import importlib
import importlib.metadata

import pytest

from pet_driver import PetDriverError
from pet_driver.engines.required import require


def test_a_missing_package_is_named_with_the_remedy():
    message = (
        r"package no-such-engine is not installed; install pet-driver with it, "
        r'pip install "pet-driver\[torch-sim\]", on Python 3.12 or newer'
    )
    with pytest.raises(PetDriverError, match=message):
        require("no-such-engine", "1.0", "torch-sim", python="3.12")


@pytest.mark.parametrize("present", ["8.6.0", "8.6.0.dev3", "8.5", "7", "8.6rc1"])
def test_an_old_package_is_named_with_its_release(monkeypatch, present):
    monkeypatch.setattr(importlib.metadata, "version", lambda _: present)
    with pytest.raises(PetDriverError, match=f"openmm is {present}, but 8.6.1 or newer is needed"):
        require("openmm", "8.6.1", "openmm")


@pytest.mark.parametrize("present", ["8.6.1", "8.6.1.dev3", "8.10", "9"])
def test_newer_packages_are_accepted(monkeypatch, present):
    monkeypatch.setattr(importlib.metadata, "version", lambda _: present)
    require("openmm", "8.6.1", "openmm")


def test_without_torch_sim_there_is_one_sentence():
    try:
        importlib.metadata.version("torch-sim-atomistic")
    except importlib.metadata.PackageNotFoundError:
        with pytest.raises(PetDriverError, match="torch-sim-atomistic is not installed; install"):
            importlib.import_module("pet_driver.engines.torch_sim")
    else:
        pytest.skip("TorchSim is installed in this environment")
