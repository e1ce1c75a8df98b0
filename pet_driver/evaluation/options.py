"""Options of an evaluation: each is declared, checked and described once, here.

Flags of the commands, keywords of `pair_style pet`, parameters of the i-PI drivers and arguments of
`load_model` and `PETCalculator` are made from the fields of `EvaluationOptions`. This file does not
import torch, so that the command line can be parsed without it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ..errors import PetDriverError
from .option import Option, integer, number, one_of, optional, unknown, yes_or_no

SCOPES = ("layer", "atom", "structure", "none")
FRAMES = ("speed", "accuracy", "paper")  # keys of `frames.NAMED_CONSTANTS`, which imports torch
DTYPE_NAMES = ("float32", "float64")
PRECISIONS = ("full", "tf32")
_DEVICE = re.compile(r"(cpu|cuda)(:\d+)?")
_KEY = "option"  # of the metadata of a field


def _device(given: object) -> str:
    if not _DEVICE.fullmatch(str(given)):
        raise ValueError(given)
    return str(given)


def _field(default: object, option: Option) -> Any:  # noqa: ANN401 (as dataclasses.field)
    return dataclasses.field(default=default, metadata={_KEY: option})


@dataclass(frozen=True)
class EvaluationOptions:
    """Options of an evaluation, checked and converted to their types when made.

    The description of each is in its `Option`, see `OPTIONS` and `described`. Lengths are in
    angstrom, charges in units of e.

    :raises PetDriverError: for a wrong value, with the value and the remedy
    """

    scope: str | None = _field(
        None,
        Option(
            optional(one_of(SCOPES)),
            f"choose one of {', '.join(SCOPES)}",
            "what is averaged over frames: layer, atom or structure (all exactly invariant), none "
            "(plain PET)",
            "SCOPE",
            unset="as trained",
        ),
    )
    frames: str | None = _field(
        None,
        Option(
            optional(one_of(FRAMES)),
            f"choose one of {', '.join(FRAMES)}",
            "constants of the frames: speed (few frames), accuracy (small symmetrization force), "
            "paper (those of arXiv 2305.19302)",
            "NAME",
            unset="those of the model",
        ),
    )
    parity: bool = _field(
        False,
        Option(
            yes_or_no,
            "give yes or no",
            "mirror images have the same energy too, at twice the cost",
        ),
    )
    extra_rotations: int = _field(
        0,
        Option(
            integer(0),
            "give an integer, 0 or more",
            "use each frame in N further orientations, which are fixed",
            "N",
        ),
    )
    charge: int = _field(
        0,
        Option(
            integer(),
            "give an integer, in units of e",
            "total charge, in e, of structures that state none",
            "CHARGE",
        ),
    )
    spin: int = _field(
        1,
        Option(
            integer(1),
            "give a multiplicity: an integer, 1 or more",
            "spin multiplicity of structures that state none",
            "SPIN",
        ),
    )
    device: str = _field(
        "cpu",
        Option(_device, "choose cpu, cuda or cuda:N", "cpu, cuda or cuda:N", "DEVICE"),
    )
    dtype: str = _field(
        "float32",
        Option(
            one_of(DTYPE_NAMES),
            f"choose one of {', '.join(DTYPE_NAMES)}",
            "precision of the network, float32 or float64; sums over atoms are float64 in both",
            "DTYPE",
        ),
    )
    precision: str = _field(
        "full",
        Option(
            one_of(PRECISIONS),
            f"choose one of {', '.join(PRECISIONS)}",
            "of matrix products on a GPU: full (that of dtype) or tf32 (faster; float32 only)",
            "PRECISION",
        ),
    )
    deterministic: bool = _field(
        False,
        Option(
            yes_or_no,
            "give yes or no",
            "bitwise reproducible results on a GPU, at some cost; on a CPU they always are",
        ),
    )
    resident: bool = _field(
        True,
        Option(
            yes_or_no,
            "give yes or no",
            "on a GPU, keep neighbor lists there and tables of fixed sizes, as far as memory "
            "allows; results are the same",
            "YES_OR_NO",
        ),
    )
    cuda_graph: bool = _field(
        True,
        Option(
            yes_or_no,
            "give yes or no",
            "with resident, record the kernels of an evaluation once and launch them together",
            "YES_OR_NO",
        ),
    )
    chunk: int | None = _field(
        None,
        Option(
            optional(integer(1)),
            "give an integer, 1 or more",
            "largest number of (centre, frame) samples evaluated at a time",
            "N",
            unset="what fits into memory",
        ),
    )
    memory_share: float = _field(
        0.4,
        Option(
            number(lambda share: 0.0 < share <= 1.0),
            "give a fraction above 0, at most 1",
            "fraction of the free memory that intermediate results may take, divided among the "
            "MPI ranks of a machine, or of a GPU",
            "FRACTION",
        ),
    )
    skin: float = _field(
        0.5,
        Option(
            number(lambda length: length >= 0.0),
            "give a length in angstrom, 0 or more",
            "neighbor lists reach so far beyond the cutoff, in angstrom, and are used again until "
            "an atom has moved by half of it",
            "LENGTH",
            flag=False,
        ),
    )
    direct: bool = _field(
        False,
        Option(
            yes_or_no,
            "give True or False",
            "plain PET with directly predicted forces, which do not conserve energy",
            flag=False,
            keyword=False,
        ),
    )

    def __post_init__(self) -> None:
        for name, option in _declared(type(self)).items():
            object.__setattr__(self, name, option.value(name, getattr(self, name)))
        if self.direct and self.scope not in (None, "none"):
            raise PetDriverError(
                f"scope is {self.scope!r}, but direct forces are those of plain PET; leave the "
                "scope out"
            )

    @classmethod
    def from_keywords(cls, **keywords: object) -> EvaluationOptions:
        """Options by their names; values may be words, as they stand in an input file.

        :raises PetDriverError: for an unknown name or a wrong value
        """
        return cls().replace(**keywords)

    def replace(self, **keywords: object) -> EvaluationOptions:
        """Copy with some options changed, checked like new ones.

        :raises PetDriverError: for an unknown name or a wrong value
        """
        for name in keywords:
            if name not in OPTIONS:
                raise PetDriverError(unknown(f"there is no option {name!r}", OPTIONS))
        return dataclasses.replace(self, **keywords)  # type: ignore[arg-type]  # words are converted

    def plain(self, direct: bool = False) -> EvaluationOptions:
        """Those of an evaluation without frames.

        :param direct: with the forces that the model reads out directly
        """
        return self.replace(scope="none", direct=direct, **_OF_FRAMES)

    def check_frames(self, scope: str) -> None:
        """Check that no option concerns frames where there are none.

        :param scope: of the evaluation
        :raises PetDriverError: if one does
        """
        given = [name for name, value in _OF_FRAMES.items() if getattr(self, name) != value]
        if scope == "none" and given:
            raise PetDriverError(
                f"{given[0]} is {getattr(self, given[0])!r}, and scope none has no frames; leave "
                "it out, or choose scope layer, atom or structure"
            )

    def changed(self) -> dict[str, object]:
        """Options that differ from their defaults, by name; plain values that can be stored."""
        default = EvaluationOptions()
        return {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if value != getattr(default, name)
        }


# Options of frames, and their values where there are none.
_OF_FRAMES: Mapping[str, object] = MappingProxyType(
    {"frames": None, "extra_rotations": 0, "parity": False}
)


def _declared(cls: type[EvaluationOptions]) -> dict[str, Option]:
    return {field.name: field.metadata[_KEY] for field in dataclasses.fields(cls)}


OPTIONS: Mapping[str, Option] = MappingProxyType(_declared(EvaluationOptions))
FLAGS: Mapping[str, Option] = MappingProxyType({n: x for n, x in OPTIONS.items() if x.flag})
KEYWORDS: Mapping[str, Option] = MappingProxyType({n: x for n, x in OPTIONS.items() if x.keyword})


def described(name: str, default: object = dataclasses.MISSING) -> str:
    """Description of an option with its default, as the help of a command shows it.

    :param default: where it is not that of `EvaluationOptions`
    """
    option = OPTIONS[name]
    if default is dataclasses.MISSING:
        default = getattr(EvaluationOptions(), name)
    if not option.metavar:
        return option.help
    return f"{option.help} (default: {option.unset if default is None else default})"
