"""Options file of a training: YAML, checked before anything runs."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from pathlib import Path
from typing import Any, TypeVar

from ..errors import PetDriverError
from ..frames import NAMED_CONSTANTS, FrameConstants
from ..frames.constants import attribute_names
from ..model import Hyperparameters, flat_fields
from .option_checks import check_together
from .options import DataOptions, FitOptions, TrainingOptions
from .yaml_mapping import read_mapping

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
_POSITIVE = {"energy_delta", "huber_delta", "stress_delta", "clip_norm"}
_FILES = {"file", "validation", "test", "may_lack"}
_NAMES = {"property_keys", "property_units"}
# Former names of options, which files may still use.
_FORMER_NAMES = {
    "fit": {
        "energy_spread_weight": "energy_variance_weight",
        "message_spread_weight": "message_variance_weight",
    }
}


def read_options(path: Path) -> TrainingOptions:
    """Options in a YAML file.

    :raises PetDriverError: if the file is missing or is not YAML, or has an unknown key or a value
        of the wrong type
    """
    content = read_mapping(path)
    _check_keys(content, {f.name for f in dataclasses.fields(TrainingOptions)}, str(path))
    for key in ("name", "data"):
        if key not in content:
            raise PetDriverError(f"{path} has no {key!r}; add it")
    name = content["name"]
    if name in (None, ""):
        raise PetDriverError(f"{path} gives no name; write one, it is that of the model file")
    if not str(name).isprintable() or "/" in str(name):
        raise PetDriverError(
            f"the name {name!r} in {path} cannot be that of a file; leave out / and line breaks"
        )
    model = _mapping(content.get("model") or {}, "model")
    _check_keys(model, set(flat_fields()) - {"species"}, "model")
    model = _converted(Hyperparameters, model, "model")
    if "frames" in model:
        model["frames"] = _frames(model["frames"])
    options = TrainingOptions(
        name=str(content["name"]),
        data=_section(DataOptions, content["data"], "data"),
        model=model,
        fit=_section(FitOptions, content.get("fit") or {}, "fit"),
        card=_card(content.get("card") or {}),
    )
    check_together(options)
    return options


def _card(given: object) -> dict[str, Any]:
    """Lines of the model card, as JSON can hold them; dates become texts."""
    try:
        text = json.dumps(_mapping(given, "card"), default=str, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise PetDriverError(
            f"the section card cannot be written into a model file ({error}); give texts and "
            "numbers"
        ) from error
    card: dict[str, Any] = json.loads(text)
    return card


def _frames(given: object) -> dict[str, Any]:
    """Constants of frames, from the name of a set of them or from single ones."""
    if isinstance(given, str):
        _chosen(given, tuple(NAMED_CONSTANTS), "model.frames")
        return NAMED_CONSTANTS[given].to_dict()
    try:
        frames = attribute_names(_mapping(given, "frames"))
    except ValueError as error:
        raise PetDriverError(f"the section frames is not valid: {error}") from error
    _check_keys(frames, {f.name for f in dataclasses.fields(FrameConstants)}, "frames")
    return _converted(FrameConstants, frames, "frames")


def _section(options_class: type[_Options], content: object, name: str) -> _Options:
    """Options of one section; those that are not given have their defaults."""
    values = _renamed(_mapping(content, name), name)
    _check_keys(values, {f.name for f in dataclasses.fields(options_class)}, name)
    if options_class is DataOptions and not isinstance(values.get("file"), str | list):
        raise PetDriverError("data has no 'file'; name the file with the training structures")
    return options_class(**_converted(options_class, values, name))


def _renamed(values: dict[str, Any], name: str) -> dict[str, Any]:
    """Values of a section with present names of options instead of former ones."""
    names = _FORMER_NAMES.get(name, {})
    for former, present in names.items():
        if former in values and present in values:
            raise PetDriverError(
                f"{name}.{former} is a former name of {name}.{present}; give the latter alone"
            )
    return {names.get(key, key): value for key, value in values.items()}


def _mapping(values: object, name: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise PetDriverError(f"the section {name} is {values!r}; write lines of key: value there")
    return values


def _converted(options_class: type, values: dict[str, Any], name: str) -> dict[str, Any]:
    """Values of the types of the fields, none of them negative or infinite."""
    listed = {f.name: f for f in dataclasses.fields(options_class)}
    fields = flat_fields() if options_class is Hyperparameters else listed
    return {key: _value(fields[key], value, f"{name}.{key}") for key, value in values.items()}


def _value(field: dataclasses.Field[Any], value: object, name: str) -> object:
    """A value as the field needs it.

    :param name: of the option in messages
    :raises PetDriverError: if the value has the wrong type or is out of range
    """
    if value is None and "None" in str(field.type):
        return None
    if "choices" in field.metadata:
        return _chosen(value, field.metadata["choices"], name)
    if field.name == "may_lack" and isinstance(value, str):
        return (value,)
    if field.name in _FILES and (isinstance(value, str | list) or field.name == "may_lack"):
        return _texts(value, name)
    if field.name == "never_held_out":
        return _positions(value, name)
    if field.name == "properties":
        return _mapping(value, name)
    if field.name in _NAMES:
        return _names(value, name)
    if field.name == "stress_sign":
        return _chosen(value, (1, -1), name)
    if field.name in _POSITIVE and value == 0:
        raise PetDriverError(f"{name} is {value}; it must be more than 0")
    return _simple(str(field.type), value, name, int(field.name not in _MAY_BE_ZERO))


def _simple(annotation: str, value: object, name: str, least: int) -> object:
    """A truth value, text or number.

    :param annotation: of the field
    :param least: smallest whole number that is allowed
    """
    if annotation.startswith("bool"):
        return _chosen(value, (True, False), name)
    if annotation.startswith("str"):
        if not isinstance(value, str):
            raise PetDriverError(f"{name} is {value!r}; it must be text")
        return value
    if annotation.startswith("float"):
        return _at_least(0, _number(value, name), name)
    if annotation.startswith("int"):
        if not isinstance(value, int) or isinstance(value, bool):
            raise PetDriverError(f"{name} is {value!r}; it must be a whole number")
        return _at_least(least, value, name)
    return value


def _number(value: object, name: str) -> float:
    try:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return float(value)  # YAML reads 1e-3 as a string
    except (ValueError, OverflowError):
        reason = "it must be a number"
    else:
        reason = "it must be one number"
    raise PetDriverError(f"{name} is {value!r}; {reason}")


def _names(value: object, name: str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(x, str) for x in value.values()):
        raise PetDriverError(f"{name} is {value!r}; write lines of output: text there")
    return {str(k): v for k, v in value.items()}


def _chosen(value: object, choices: tuple[object, ...], name: str) -> object:
    if value not in choices:
        listed = ", ".join(str(x) for x in choices)
        raise PetDriverError(f"{name} is {value!r}; it must be one of {listed}")
    return value


def _texts(value: object, name: str) -> str | tuple[str, ...]:
    if isinstance(value, str):
        return value
    listed = value if isinstance(value, list) else []
    texts = tuple(x for x in listed if isinstance(x, str))
    if not texts or len(texts) < len(listed):
        raise PetDriverError(f"{name} is {value!r}; it must be a list of texts")
    return texts


def _positions(value: object, name: str) -> tuple[int, ...]:
    listed = value if isinstance(value, list) else [value]
    if not all(type(x) is int and x >= 0 for x in listed):
        raise PetDriverError(
            f"{name} is {value!r}; it must be a list of positions of frames, from 0"
        )
    return tuple(listed)


def _at_least(least: int, value: float, name: str) -> float:
    if not least <= value < math.inf:
        raise PetDriverError(f"{name} is {value}; it must be a number from {least} on")
    return value


def _check_keys(values: dict[str, Any], known: set[str], where: str) -> None:
    for key in values:
        if key not in known:
            alike = difflib.get_close_matches(str(key), known, n=1)
            listed = f"known are {', '.join(sorted(known))}"
            hint = f"did you mean {alike[0]!r}?" if alike else listed
            raise PetDriverError(f"unknown option {key!r} in {where}; {hint}")
