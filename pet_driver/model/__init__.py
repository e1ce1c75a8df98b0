"""The network: pure tensors in, tensors out. Knows nothing of files, engines or MPI."""

from .ecse import FrameRows, environment_frames
from .hyperparameters import FrameHyperparameters, Hyperparameters
from .pet import PET, Neighborhoods

__all__ = [
    "PET",
    "FrameHyperparameters",
    "FrameRows",
    "Hyperparameters",
    "Neighborhoods",
    "environment_frames",
]
