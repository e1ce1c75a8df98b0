"""Training: from labelled structures and an options file to a model file."""

from .options import TrainingOptions
from .options_file import read_options
from .training import Training
from .workers import Workers, start_workers

__all__ = ["Training", "TrainingOptions", "Workers", "read_options", "start_workers"]
