"""Options of a training run: read from YAML, checked before anything runs."""

from __future__ import annotations

import dataclasses
import difflib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from ..errors import PetDriverError
from ..model import FrameHyperparameters, Hyperparameters

_Options = TypeVar("_Options", bound="DataOptions | FitOptions")

_MAY_BE_ZERO = {
    "steps",
    "warmup_steps",
    "validation",
    "test",
    "seed",
    "radial_waves",
    "pruning_rounds",
}


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
    except (OSError, UnicodeDecodeError) as error:
        raise PetDriverError(
            f"the options file {path} cannot be read ({error}); give the path of a YAML file"
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
    model = _mapping(content.get("model") or {}, "model")
    _check_keys(model, {f.name for f in dataclasses.fields(Hyperparameters)} - {"species"}, "model")
    model = _converted(Hyperparameters, model, "model")
    if "frames" in model:
        frames = _mapping(model["frames"], "frames")
        _check_keys(frames, {f.name for f in dataclasses.fields(FrameHyperparameters)}, "frames")
        model["frames"] = _converted(FrameHyperparameters, frames, "frames")
    return TrainingOptions(
        name=str(content["name"]),
        data=_section(DataOptions, content["data"], "data"),
        model=model,
        fit=_section(FitOptions, content.get("fit") or {}, "fit"),
        card=_mapping(content.get("card") or {}, "card"),
    )


def _section(kind: type[_Options], values: dict[str, Any], name: str) -> _Options:
    _check_keys(_mapping(values, name), {f.name for f in dataclasses.fields(kind)}, name)
    if kind is DataOptions and not isinstance(values.get("file"), str):
        raise PetDriverError("data has no 'file'; name the file with the training structures")
    return kind(**_converted(kind, values, name))


def _mapping(values: object, name: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise PetDriverError(f"the section {name} is {values!r}; write lines of key: value there")
    return values


def _converted(kind: type, values: dict[str, Any], name: str) -> dict[str, Any]:
    """Values of the kinds of the defaults, none of them negative or infinite."""
    defaults = {f.name: f.default for f in dataclasses.fields(kind)}
    converted = {}
    for key, value in values.items():
        default = defaults[key]
        least = 0
        if isinstance(default, float) or (default is None and value is not None):
            try:
                value = float(value)  # YAML reads 1e-3 as a string
            except (TypeError, ValueError) as error:
                raise PetDriverError(f"{name}.{key} is {value!r}; it must be a number") from error
        elif isinstance(default, int):
            if not isinstance(value, int):
                raise PetDriverError(f"{name}.{key} is {value!r}; it must be a whole number")
            least = int(key not in _MAY_BE_ZERO)
        if isinstance(value, int | float) and not least <= value < math.inf:
            raise PetDriverError(f"{name}.{key} is {value}; it must be a number from {least} on")
        converted[key] = value
    return converted


def _check_keys(values: dict[str, Any], known: set[str], where: str) -> None:
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}"
            raise PetDriverError(f"unknown option {key!r} in {where}; {hint}")
