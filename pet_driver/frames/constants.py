"""The constants that define ECSE frames; stored in every model file."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

_SHORTEST = 0.02  # length of a contrast, angstrom: shorter ones would overflow over a cutoff

# Smallest value of each number; windows that are narrower would overflow.
_LEAST = {
    "margin": 1e-3,
    "beta": 1e-3,
    "sin2_threshold": 5e-3,
    "sin2_width": 5e-3,
    "axis_margin": 1e-3,
    "axial_threshold": 1e-3,
    "axial_width": 1e-3,
    "pruning_fraction": 0.0,
    "pruning_width": 1e-3,
    "pruning_rounds": 0,
    "pruning_threshold": 0.0,
    "pruning_threshold_width": 1e-3,
}
_ROUNDING = 1e-9
_LEAST_SHARPNESS = 0.5  # beta * margin; below it the inner cutoff may exceed the cutoff
_OF_CONTRAST = ("contrast", "maximum_power")

# Keys of model files and options files, where they differ from the names of the attributes.
_FILE_KEYS = {"sin2_threshold": "spread", "sin2_width": "spread_width"}


@dataclass(frozen=True)
class FrameConstants:
    """Constants of the ECSE frames; names follow the symbols of arXiv 2305.19302 where it has one.

    ``margin`` is the paper's Delta, the width of the radial switches (angstrom). ``beta``
    (1/angstrom) is the sharpness of the smooth minimum that sets the inner cutoff.
    ``sin2_threshold`` and ``sin2_width`` define the window in sin^2 of the angle between two
    neighbors: the weight of a pair grows from zero at ``sin2_threshold - sin2_width``, and a pair
    counts fully in the inner cutoff from ``sin2_threshold + sin2_width`` on. ``axis_margin``
    (angstrom; None: no limit, as in the paper) lets only neighbors little farther than the nearest
    one be the first axis of a frame, which saves frames where bonds are shorter than contacts.

    Axial frames are switched off as the smooth maximum of the weights of pairs rises from
    ``axial_threshold - axial_width`` to ``axial_threshold``; ``axial_copies``, even and at least
    4, are turned about each axis. Pruning removes weights below ``pruning_fraction`` of the largest
    and keeps in full those above ``pruning_fraction + pruning_width`` of it, ``pruning_rounds``
    times; it is switched on as the smooth maximum rises from
    ``pruning_threshold - pruning_threshold_width`` to ``pruning_threshold``.

    ``contrast`` (two lengths l1 and l2, angstrom; None: no contrast, as in the paper) multiplies
    the weight of the pair of neighbors j and k by ``exp(-r_j / l1 - r_k / l2)``, after the axial
    frames have got their share: near neighbors count more and fewer frames are left. Pruning then
    compares with a smooth maximum that scales with the weights, of the power ``maximum_power``, and
    is always switched on; see `pruning`.

    :raises ValueError: if the number of axial copies is odd or too small, the window in sin^2
        reaches below 0, a width is not above 0, a length of the contrast is below 0.02 angstrom, a
        number is not finite, or the window of pruning ends above the largest weight (with contrast,
        not below it); if beta times margin is below 0.5; if, with contrast, ``axial_width`` is
        above ``axial_threshold``
    """

    margin: float = 0.15
    beta: float = 5.0
    sin2_threshold: float = 0.2
    sin2_width: float = 0.15
    axis_margin: float | None = None
    axial_threshold: float = 0.5
    axial_width: float = 0.5
    axial_copies: int = 6
    pruning_fraction: float = 0.9
    pruning_width: float = 0.1
    pruning_rounds: int = 4
    pruning_threshold: float = 0.5
    pruning_threshold_width: float = 0.25
    contrast: tuple[float, float] | None = None
    maximum_power: float = 8.0

    def __post_init__(self) -> None:
        self._check_numbers()
        copies = self.axial_copies
        if copies < 4 or copies % 2:
            raise ValueError(f"axial_copies is {copies}; it must be even and at least 4")
        # Otherwise a neighbor would form a pair with itself.
        if not 0.0 < self.sin2_width <= self.sin2_threshold:
            raise ValueError(
                f"sin2_width is {self.sin2_width}; it must be above 0 and not above "
                f"sin2_threshold, {self.sin2_threshold}"
            )
        if self.contrast is not None:
            self._check_contrast()

    def _check_numbers(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is None and name == "axis_margin":
                continue
            if not least <= value < math.inf:
                raise ValueError(f"{name} is {value}; it must be a number of at least {least:g}")
        if self.beta * self.margin < _LEAST_SHARPNESS:
            raise ValueError(
                f"beta is {self.beta:g} and margin {self.margin:g}; their product must be at least "
                f"{_LEAST_SHARPNESS}, as frames would reach beyond the cutoff otherwise"
            )
        end = self.pruning_fraction + self.pruning_width
        if end > 1.0 + _ROUNDING:
            raise ValueError(
                f"pruning_fraction + pruning_width is {end:g}; give at most 1, as otherwise even "
                "the heaviest frame would be pruned"
            )

    def _check_contrast(self) -> None:
        given = self.contrast
        lengths = tuple(given) if isinstance(given, list | tuple) else ()
        numbers = [x for x in lengths if isinstance(x, int | float)]
        if len(numbers) != 2 or not all(_SHORTEST <= x < math.inf for x in numbers):
            raise ValueError(
                f"contrast is {given!r}; give two lengths of at least {_SHORTEST} angstrom"
            )
        object.__setattr__(self, "contrast", (float(numbers[0]), float(numbers[1])))
        # Axial frames must have the whole weight where the last pair vanishes, as contrast gives
        # pairs a share of the rest however small they are.
        if self.axial_width > self.axial_threshold:
            raise ValueError(
                f"axial_width is {self.axial_width} and axial_threshold {self.axial_threshold}; "
                "with contrast the width must not be larger"
            )
        if not 1.0 <= self.maximum_power < math.inf:
            raise ValueError(f"maximum_power is {self.maximum_power}; it must be at least 1")
        # Above the largest weight no frame would be kept in full, and a tie would lose all.
        end = self.pruning_fraction + self.pruning_width
        if not (self.pruning_fraction > 0.0 and self.pruning_width > 0.0 and end < 1.0):
            raise ValueError(
                f"pruning ends at {end:g} of the largest weight (pruning_fraction + "
                "pruning_width); with contrast it must start above 0 and end below 1"
            )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FrameConstants:
        """Constants from the keys of a file; inverse of `to_dict`.

        :raises ValueError: if a key is unknown or a value not allowed
        """
        values = attribute_names(data)
        known = {f.name for f in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(
                f"unknown frame constant {unknown[0]!r}; known are {', '.join(sorted(known))}"
            )
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers under the keys of a file, ready for JSON.

        Without contrast its constants are left out, as in the files of former versions.
        """
        values = dataclasses.asdict(self)
        if self.contrast is None:
            values = {name: x for name, x in values.items() if name not in _OF_CONTRAST}
        return {_FILE_KEYS.get(name, name): value for name, value in values.items()}


def _with_contrast(length: float, fraction: float, end: float) -> FrameConstants:
    """Constants with equal lengths of the contrast, so that both orders of a pair weigh the same.

    :param fraction: of the heaviest weight, where pruning begins to keep
    :param end: of the heaviest weight, where it keeps all
    """
    return FrameConstants(
        margin=0.5,
        axis_margin=0.5,
        contrast=(length, length),
        pruning_fraction=fraction,
        pruning_width=round(end - fraction, 12),
        pruning_rounds=1,
    )


# Constants by name, for options files, commands and scripts. "speed" leaves fewer frames, with
# "accuracy" weights change more gently; `benchmarks/symmetrization.py` measures what each costs.
NAMED_CONSTANTS: Mapping[str, FrameConstants] = MappingProxyType(
    {
        "speed": _with_contrast(0.04, 0.3, 0.6),
        "accuracy": _with_contrast(0.1, 0.2, 0.6),
        "paper": FrameConstants(),
    }
)


def attribute_names(data: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the keys of a file by the names of attributes of `FrameConstants`.

    Files write "spread" and "spread_width" for `sin2_threshold` and `sin2_width`; both spellings
    are read. Unknown keys stay.

    :raises ValueError: if a constant is given under both of its names
    """
    values = dict(data)
    for name, key in _FILE_KEYS.items():
        if key not in values:
            continue
        if name in values:
            raise ValueError(f"{key} and {name} are two names of one constant; leave one out")
        values[name] = values.pop(key)
    return values
