"""Options of a training run: read from YAML, checked before anything runs."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from ..errors import PetDriverError
from ..model import Hyperparameters

_Options = TypeVar("_Options", bound="DataOptions | FitOptions")


@dataclass(frozen=True)
class DataOptions:
    """Where the structures are and how they are split.

    ``file`` is relative to the options file, or to the folder given on the command line. Energies
    in eV, forces in eV/angstrom, under the named keys. The split is drawn with ``seed``;
    ``validation`` and ``test`` are numbers of frames.
    """

    file: str
    energy_key: str = "energy"
    forces_key: str = "forces"
    validation: int = 40
    test: int = 40
    seed: int = 0


@dataclass(frozen=True)
class FitOptions:
    """How the weights are found.

    The learning rate rises over ``warmup_steps`` and then falls along a cosine to zero at
    ``steps``. Up to the share ``sampled_share`` of the steps, one frame per centre and layer is
    drawn; after that all frames are averaged.
    """

    steps: int = 10_000
    batch_size: int = 2
    learning_rate: float = 1e-3
    warmup_steps: int = 200
    weight_decay: float = 1e-4
    energy_weight: float = 100.0
    huber_delta: float = 1.0
    energy_spread_weight: float = 0.0
    message_spread_weight: float = 0.0
    clip_norm: float = 10.0
    ema_decay: float = 0.998
    sampled_share: float = 0.8
    validate_every: int = 500
    checkpoint_minutes: float = 5.0
    max_time: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class TrainingOptions:
    """Everything in an options file."""

    name: str
    data: DataOptions
    model: dict[str, Any]
    fit: FitOptions
    card: dict[str, Any] = field(default_factory=dict)


def read_options(path: Path) -> TrainingOptions:
    """
    :raises PetDriverError: if the file is missing, is not YAML, or has an unknown key or a value of
        the wrong kind
    """
    try:
        content = yaml.safe_load(Path(path).read_text())
    except FileNotFoundError as error:
        raise PetDriverError(
            f"there is no options file {path}; give the path of a YAML file"
        ) from error
    except yaml.YAMLError as error:
        raise PetDriverError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise PetDriverError(
            f"{path} holds no options; it needs the sections name, data, model and fit"
        )
    _check_keys(content, {f.name for f in dataclasses.fields(TrainingOptions)}, str(path))
    for key in ("name", "data"):
        if key not in content:
            raise PetDriverError(f"{path} has no {key!r}; add it")
    model = content.get("model") or {}
    _check_keys(model, {f.name for f in dataclasses.fields(Hyperparameters)} - {"species"}, "model")
    return TrainingOptions(
        name=str(content["name"]),
        data=_section(DataOptions, content["data"], "data"),
        model=model,
        fit=_section(FitOptions, content.get("fit") or {}, "fit"),
        card=content.get("card") or {},
    )


def _section(kind: type[_Options], values: dict[str, Any], name: str) -> _Options:
    fields = {f.name: f for f in dataclasses.fields(kind)}
    _check_keys(values, set(fields), name)
    if kind is DataOptions and "file" not in values:
        raise PetDriverError("data has no 'file'; name the file with the training structures")
    converted = {}
    for key, value in values.items():
        default = fields[key].default
        if isinstance(default, float) and isinstance(value, int | float | str):
            try:
                value = float(value)  # YAML reads 1e-3 as a string
            except ValueError as error:
                raise PetDriverError(f"{name}.{key} is {value!r}; it must be a number") from error
        elif isinstance(default, int) and not isinstance(value, int):
            raise PetDriverError(f"{name}.{key} is {value!r}; it must be a whole number")
        converted[key] = value
    return kind(**converted)


def _check_keys(values: dict[str, Any], known: set[str], where: str) -> None:
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}"
            raise PetDriverError(f"unknown option {key!r} in {where}; {hint}")
