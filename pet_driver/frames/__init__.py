"""ECSE: weighted frames of every atom and averages over them. Imports nothing else of the package.

ECSE is the Equivariant Coordinate System Ensemble of arXiv 2305.19302.
"""

from .average import FrameAverage, in_parts
from .constants import NAMED_CONSTANTS, FrameConstants
from .construction import environment_frames, pooled_frames
from .frame_set import FrameSet
from .rotations import fixed_rotations, rotate_back, tetrahedral_rotations

__all__ = [
    "NAMED_CONSTANTS",
    "FrameAverage",
    "FrameConstants",
    "FrameSet",
    "environment_frames",
    "fixed_rotations",
    "in_parts",
    "pooled_frames",
    "rotate_back",
    "tetrahedral_rotations",
]
