"""The constants that define ECSE frames; stored in every model file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FrameConstants:
    """Constants of the ECSE frames (arXiv 2305.19302; the names follow the paper's symbols where it
    has one).

    ``margin`` is the paper's Delta of the radial switches (angstrom), ``beta`` the sharpness of the
    smooth minimum that sets the inner cutoff (1/angstrom), ``spread`` and ``spread_width`` the
    window in sin^2 of the angle of a pair. ``axis_margin`` (angstrom; None: as in the paper) lets
    only neighbors little farther than the nearest be the first axis of a frame, which saves frames
    where bonds differ from contacts.
    """

    margin: float = 0.15
    beta: float = 5.0
    spread: float = 0.2
    spread_width: float = 0.15
    axis_margin: float | None = None
    axial_threshold: float = 0.5
    axial_width: float = 0.5
    axial_copies: int = 6
    pruning_fraction: float = 0.9
    pruning_width: float = 0.1
    pruning_rounds: int = 4
    pruning_threshold: float = 0.5
    pruning_threshold_width: float = 0.25
