"""ECSE: weighted frames of every atom and averages over them. Imports nothing of ours."""

from .average import average_over_frames, in_parts
from .constants import FrameConstants
from .construction import environment_frames, pooled_frames
from .frame_set import FrameSet
from .rotations import fixed_rotations, rotate_back

__all__ = [
    "FrameConstants",
    "FrameSet",
    "average_over_frames",
    "environment_frames",
    "fixed_rotations",
    "in_parts",
    "pooled_frames",
    "rotate_back",
]
