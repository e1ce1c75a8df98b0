"""The package itself: its version, and that importing it is cheap."""

from __future__ import annotations

import subprocess
import sys

import pytest

import pet_driver
from helpers import environment
from pet_driver.cli.main import main


def test_the_command_knows_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"pet-driver {pet_driver.__version__}\n"


@pytest.mark.parametrize("module", ["pet_driver", "pet_driver.cli.main"])
def test_torch_is_imported_at_first_use(module: str) -> None:
    """Launchers initialize MPI before torch, and `--help` does not wait for it."""
    code = f"import sys, {module}; print({module}.__name__, 'torch' in sys.modules)"
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout == f"{module} False\n"


def test_public_names() -> None:
    assert set(pet_driver.__all__) <= {*dir(pet_driver), "Potential", "Prediction", "load_model"}
    assert callable(pet_driver.load_model)
    assert pet_driver.Prediction.__name__ == "Prediction"
    with pytest.raises(AttributeError, match="no attribute 'load'"):
        pet_driver.load  # noqa: B018
