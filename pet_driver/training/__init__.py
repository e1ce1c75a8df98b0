"""Training: data, loss, loop."""

from .loop import Training
from .options import TrainingOptions
from .options_file import read_options
from .workers import Workers, start_workers

__all__ = ["Training", "TrainingOptions", "Workers", "read_options", "start_workers"]
