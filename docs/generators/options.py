"""Options with their defaults: of an evaluation, and of a training."""

from __future__ import annotations

import dataclasses
import inspect

from pet_driver.engines.lammps.options import _OWN, PairStyle
from pet_driver.evaluation.options import OPTIONS, EvaluationOptions
from pet_driver.frames import NAMED_CONSTANTS, FrameConstants
from pet_driver.model import ForeignHyperparameters, Hyperparameters
from pet_driver.training.options import DataOptions, FitOptions

from .writing import Writer, code, plain, prose, table


def make(writer: Writer) -> None:
    """Write the parts about options."""
    writer.text("parts/evaluation_options.md", _evaluation())
    writer.text("parts/pair_style_options.md", _pair_style())
    writer.text("parts/training_options.md", _training())
    writer.text("parts/frame_constants.md", _constants())


def _evaluation() -> list[str]:
    defaults, rows = EvaluationOptions(), []
    for name, option in OPTIONS.items():
        value = getattr(defaults, name)
        default = option.unset if value is None else _shown(value)
        rows.append((code(name), default, plain(option.help)))
    flagless = [code(name) for name, option in OPTIONS.items() if not option.flag]
    wordless = [code(name) for name, option in OPTIONS.items() if not option.keyword]
    return [
        *table(("option", "default", "meaning"), rows),
        "A flag is the name after two hyphens, with hyphens for underscores, as in",
        "`--extra-rotations 2`.",
        f"Commands have no flag for {' and '.join(flagless)}; LAMMPS and i-PI have no keyword for",
        f"{' and '.join(wordless)}.",
    ]


def _pair_style() -> list[str]:
    defaults = {field.name: field.default for field in dataclasses.fields(PairStyle)}
    rows = [
        (code(name), _shown(defaults[name]), plain(option.help), plain(option.remedy))
        for name, option in _OWN.items()
    ]
    return table(("keyword", "default", "meaning", "values"), rows)


def _training() -> list[str]:
    lines = []
    for title, kind in (("data", DataOptions), ("fit", FitOptions)):
        lines += [f"## {title}", "", prose(inspect.getdoc(kind) or ""), *_fields(kind)]
    lines += ["## model", "", _meaning(Hyperparameters)]
    lines += _fields(Hyperparameters)
    lines += ["The elements are those of the data."]
    lines += ["", _meaning(ForeignHyperparameters)]
    return [*lines, *_fields(ForeignHyperparameters)]


def _meaning(kind: type) -> str:
    """What the docstring says of the options, without the errors that Python code gets."""
    return prose(inspect.getdoc(kind) or "").split(":raises")[0].rstrip()


def _fields(kind: type) -> list[str]:
    """Table of the fields of a data class, with choices where there are some."""
    rows = []
    for field in dataclasses.fields(kind):
        if field.name in ("foreign", "species"):
            continue  # those of `foreign` have a table of their own; the data give the species
        choices = field.metadata.get("choices", ())
        rows.append(
            (code(field.name), _default(field), " or ".join(map(code, choices)), code(field.type))
        )
    return table(("option", "default", "choices", "type"), rows)


def _default(field: dataclasses.Field) -> str:
    if field.default is not dataclasses.MISSING:
        return _shown(field.default)
    if field.default_factory is not dataclasses.MISSING:
        made = field.default_factory()
        return "those of `speed`" if isinstance(made, FrameConstants) else code(made)
    return "(required)"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "not set" if value is None else code(value)


def _constants() -> list[str]:
    """Constants of the frames in all named sets."""
    names = [field.name for field in dataclasses.fields(FrameConstants)]
    rows = [
        (code(name), *(_shown(getattr(found, name)) for found in NAMED_CONSTANTS.values()))
        for name in names
    ]
    return table(("constant", *map(code, NAMED_CONSTANTS)), rows)
