"""Exact symmetry for models trained plain: scope "layer" tuned towards an average of the model."""

from .sampling import SampleRun
from .symmetrize import SymmetrizeOptions, symmetrize

__all__ = ["SampleRun", "SymmetrizeOptions", "symmetrize"]
