"""The network: pure tensors in, tensors out. Knows nothing of files, engines or MPI."""

from .adaptive_cutoff import adaptive_cutoffs
from .averaging import in_parts
from .ecse import environment_frames, pooled_frames
from .frame_rows import FrameRows, fixed_turns
from .hyperparameters import FrameHyperparameters, Hyperparameters
from .neighborhoods import Exchange, Hop, Neighborhoods
from .pet import PET
from .readout import turned_back
from .zbl import zbl_energies

__all__ = [
    "PET",
    "Exchange",
    "FrameHyperparameters",
    "FrameRows",
    "Hop",
    "Hyperparameters",
    "Neighborhoods",
    "adaptive_cutoffs",
    "environment_frames",
    "fixed_turns",
    "in_parts",
    "pooled_frames",
    "turned_back",
    "zbl_energies",
]
