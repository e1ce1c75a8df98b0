"""The network: pure tensors in, tensors out. Knows nothing of files, engines or MPI."""

from .ecse import environment_frames, pooled_frames
from .frame_rows import FrameRows, fixed_turns
from .hyperparameters import FrameHyperparameters, Hyperparameters
from .pet import PET, Exchange, Hop, Neighborhoods
from .readout import turned_back

__all__ = [
    "PET",
    "Exchange",
    "FrameHyperparameters",
    "FrameRows",
    "Hop",
    "Hyperparameters",
    "Neighborhoods",
    "environment_frames",
    "fixed_turns",
    "pooled_frames",
    "turned_back",
]
