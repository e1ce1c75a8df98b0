"""Training: data, loss, loop."""

from .loop import Training
from .options import TrainingOptions, read_options

__all__ = ["Training", "TrainingOptions", "read_options"]
