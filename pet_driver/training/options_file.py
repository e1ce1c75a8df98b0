"""Reading an options file: YAML, checked before anything runs."""

from __future__ import annotations

import dataclasses
import difflib
import math
from pathlib import Path
from typing import Any, TypeVar

import yaml

from ..errors import PetDriverError
from ..frames import FrameConstants
from ..model import Hyperparameters
from . import units
from .options import DataOptions, FitOptions, TrainingOptions

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
_FILES = {"file", "validation", "test", "may_lack"}
_NAMES = {"property_keys", "property_units"}


def read_options(path: Path) -> TrainingOptions:
    """
    :raises PetDriverError: if the file is missing, is not YAML, or has an unknown key or a value of
        the wrong kind
    """
    content = _content(path)
    _check_keys(content, {f.name for f in dataclasses.fields(TrainingOptions)}, str(path))
    for key in ("name", "data"):
        if key not in content:
            raise PetDriverError(f"{path} has no {key!r}; add it")
    model = _mapping(content.get("model") or {}, "model")
    _check_keys(model, {f.name for f in dataclasses.fields(Hyperparameters)} - {"species"}, "model")
    model = _converted(Hyperparameters, model, "model")
    if "frames" in model:
        frames = _mapping(model["frames"], "frames")
        _check_keys(frames, {f.name for f in dataclasses.fields(FrameConstants)}, "frames")
        model["frames"] = _converted(FrameConstants, frames, "frames")
    options = TrainingOptions(
        name=str(content["name"]),
        data=_section(DataOptions, content["data"], "data"),
        model=model,
        fit=_section(FitOptions, content.get("fit") or {}, "fit"),
        card=_mapping(content.get("card") or {}, "card"),
    )
    _check_together(options)
    return options


def _content(path: Path) -> dict[str, Any]:
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
    return content


def _section(kind: type[_Options], values: dict[str, Any], name: str) -> _Options:
    _check_keys(_mapping(values, name), {f.name for f in dataclasses.fields(kind)}, name)
    if kind is DataOptions and not isinstance(values.get("file"), str | list):
        raise PetDriverError("data has no 'file'; name the file with the training structures")
    return kind(**_converted(kind, values, name))


def _mapping(values: object, name: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise PetDriverError(f"the section {name} is {values!r}; write lines of key: value there")
    return values


def _converted(kind: type, values: dict[str, Any], name: str) -> dict[str, Any]:
    """Values of the kinds of the defaults, none of them negative or infinite."""
    fields = {f.name: f for f in dataclasses.fields(kind)}
    return {key: _value(fields[key], value, f"{name}.{key}") for key, value in values.items()}


def _value(field: dataclasses.Field, value: object, name: str) -> object:
    if value is None and "None" in str(field.type):
        return None
    if "choices" in field.metadata:
        return _chosen(value, field.metadata["choices"], name)
    if field.name == "may_lack" and isinstance(value, str):
        return (value,)
    if field.name in _FILES and isinstance(value, str | list):
        return _texts(value, name)
    if field.name == "never_held_out":
        return _positions(value, name)
    if field.name in _NAMES:
        if not isinstance(value, dict) or not all(isinstance(x, str) for x in value.values()):
            raise PetDriverError(f"{name} is {value!r}; write lines of output: text there")
        return {str(k): v for k, v in value.items()}
    if field.name == "stress_sign":
        return _chosen(value, (1, -1), name)
    kind = str(field.type)
    if kind.startswith("bool"):
        return _chosen(value, (True, False), name)
    if kind.startswith("str"):
        if not isinstance(value, str):
            raise PetDriverError(f"{name} is {value!r}; it must be text")
        return value
    if kind.startswith("float"):
        try:
            value = float(value)  # YAML reads 1e-3 as a string
        except (TypeError, ValueError) as error:
            raise PetDriverError(f"{name} is {value!r}; it must be a number") from error
        return _at_least(0, value, name)
    if kind.startswith("int"):
        if not isinstance(value, int) or isinstance(value, bool):
            raise PetDriverError(f"{name} is {value!r}; it must be a whole number")
        return _at_least(int(field.name not in _MAY_BE_ZERO), value, name)
    return value


def _chosen(value: object, choices: tuple, name: str) -> object:
    if value not in choices:
        listed = ", ".join(str(x) for x in choices)
        raise PetDriverError(f"{name} is {value!r}; it must be one of {listed}")
    return value


def _texts(value: str | list, name: str) -> str | tuple[str, ...]:
    if isinstance(value, str):
        return value
    if not value or not all(isinstance(x, str) for x in value):
        raise PetDriverError(f"{name} is {value!r}; it must be a list of texts")
    return tuple(value)


def _positions(value: object, name: str) -> tuple[int, ...]:
    listed = value if isinstance(value, list) else [value]
    if not all(isinstance(x, int) and not isinstance(x, bool) and x >= 0 for x in listed):
        raise PetDriverError(
            f"{name} is {value!r}; it must be a list of positions of frames, from 0"
        )
    return tuple(listed)


def _at_least(least: int, value: float, name: str) -> float:
    if not least <= value < math.inf:
        raise PetDriverError(f"{name} is {value}; it must be a number from {least} on")
    return value


def _check_together(options: TrainingOptions) -> None:
    """What no option shows alone."""
    data, fit = options.data, options.fit
    units.energy_unit(data.energy_unit)
    units.length_unit(data.length_unit)
    if data.forces_unit is not None:
        units.forces_unit(data.forces_unit)
    if data.stress_unit is not None:
        units.stress_unit(data.stress_unit)
    outputs = dict(options.model.get("properties") or {})
    for name in data.property_keys:
        if name not in outputs and fit.start_from is None:
            raise PetDriverError(
                f"data.property_keys names {name!r}, which the model has not; add it to "
                "model.properties with its rank, 1 for a vector"
            )
    labels = {"energy", "forces", "stress", *data.property_keys}
    for name in data.may_lack:
        if name not in labels:
            raise PetDriverError(
                f"data.may_lack names {name!r}; known are {', '.join(sorted(labels))}"
            )
    if fit.schedule == "time" and not fit.max_time:
        raise PetDriverError("fit.schedule is 'time', so fit.max_time must be given, in seconds")
    if fit.final_share > 1.0 or fit.sampled_share > 1.0:
        raise PetDriverError("fit.final_share and fit.sampled_share are shares; give 0 to 1")


def _check_keys(values: dict[str, Any], known: set[str], where: str) -> None:
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}"
            raise PetDriverError(f"unknown option {key!r} in {where}; {hint}")
