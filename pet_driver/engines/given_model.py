"""The model that an engine was given: a name, a path, or a loaded `Potential`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import PetDriverError
from ..evaluation.options import EvaluationOptions
from ..evaluation.potential import Potential, load_model


def open_potential(model: str | Path | Potential, **options: Any) -> Potential:  # noqa: ANN401 (of any type)
    """Load a model, or check that a loaded one has the options that are given beside it.

    :param model: name of a shipped model, path of a model file, or a loaded `Potential`, which has
        its options already
    :param options: see `EvaluationOptions`; None: the default, or that of a loaded potential
    :raises PetDriverError: if the model or the device is not there, an option is wrong, or a loaded
        potential has other options than given
    """
    given = {name: value for name, value in options.items() if value is not None}
    if not isinstance(model, Potential):
        return load_model(model, **given)
    wanted = EvaluationOptions.from_keywords(**given)
    for name in given:
        value = getattr(wanted, name)
        has = model.scope if name == "scope" else getattr(model.options, name)
        if has != value:
            raise PetDriverError(
                f"{name} is {value!r}, but the potential was loaded with {has!r}; give the option "
                "to load_model"
            )
    return model
