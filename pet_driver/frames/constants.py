"""The constants that define ECSE frames; stored in every model file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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

    :raises ValueError: if the number of axial copies is odd or too small
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

    def __post_init__(self) -> None:
        copies = self.axial_copies
        if copies < 4 or copies % 2:
            raise ValueError(f"axial_copies is {copies}; it must be even and at least 4")

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
        """Plain numbers under the keys of a file, ready for JSON."""
        values = dataclasses.asdict(self)
        return {_FILE_KEYS.get(name, name): value for name, value in values.items()}


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
