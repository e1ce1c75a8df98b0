"""The working folder of a symmetrization: what is done, and what was decided, to resume from."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import PetDriverError
from ..graph import System

_PLAN = "plan.json"
_RESTART = "add --restart to begin anew, or give another --folder"


class WorkFolder:
    """Files of one symmetrization.

    :param identity: what the results depend on: the model, the structures and the options
    :param restart: remove what an earlier run has left
    :raises PetDriverError: if the folder cannot be made, or belongs to another model, other
        structures or other options
    """

    def __init__(self, path: Path, identity: dict[str, Any], restart: bool = False) -> None:
        self.path = path
        if restart:
            self._remove()
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PetDriverError(
                f"the folder {path} cannot be made ({error.strerror}); give another --folder"
            ) from error
        self._plan = self._read()
        before = self._plan.setdefault("identity", identity)
        for key, value in identity.items():
            if before.get(key) != value:
                raise PetDriverError(
                    f"the folder {path} is that of a run with another {key}; {_RESTART}"
                )
        self._write()

    def decided(self, key: str) -> Any:  # noqa: ANN401 (whatever JSON holds)
        """What an earlier run, or this one, has decided; None: nothing yet."""
        return self._plan.get(key)

    def decide(self, key: str, value: object) -> None:
        """Keep a decision, which `decided` returns from now on."""
        self._plan[key] = value
        self._write()

    def begin_tuning_anew(self, keys: Sequence[str]) -> None:
        """Forget some decisions and the tuning that followed from them."""
        for key in keys:
            self._plan.pop(key, None)
        shutil.rmtree(self.tuning, ignore_errors=True)
        self._write()

    def label(self, index: int) -> Path:
        """File of a labelled structure."""
        return self.path / "labels" / f"{index:05d}.safetensors"

    def sampled(self, run: int) -> Path:
        """Folder of the structures of a run."""
        return self.path / f"sampled_{run}"

    @property
    def tuning(self) -> Path:
        """Folder of the tuning."""
        return self.path / "tuning"

    def _read(self) -> dict[str, Any]:
        path = self.path / _PLAN
        if not path.exists():
            return {}
        try:
            content = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise PetDriverError(f"{path} is damaged; {_RESTART}") from error
        if not isinstance(content, dict):
            raise PetDriverError(f"{path} is damaged; {_RESTART}")
        return content

    def _write(self) -> None:
        partial = self.path / f"{_PLAN}.part"
        partial.write_text(json.dumps(self._plan, indent=1))
        partial.replace(self.path / _PLAN)

    def _remove(self) -> None:
        """Remove the files of an earlier run, if there was one, and nothing else."""
        plan = self.path / _PLAN
        if not plan.exists():
            return
        runs = [x for x in self.path.glob("sampled_*") if x.name.removeprefix("sampled_").isdigit()]
        for folder in (self.tuning, self.label(0).parent, *runs):
            shutil.rmtree(folder, ignore_errors=True)
        plan.unlink()


def digest(systems: Sequence[System]) -> str:
    """SHA-256 of structures."""
    total = hashlib.sha256()
    for system in systems:
        for part in (system.numbers, system.positions, system.cell, system.pbc):
            total.update(np.ascontiguousarray(part).tobytes())
        total.update(repr((system.charge, system.spin)).encode())
    return total.hexdigest()
