"""Exact symmetry for models trained plain: scope "layer" tuned towards an average of the model."""

from .options import SymmetrizeOptions
from .sampling import SampleRun
from .symmetrize import symmetrize

__all__ = ["SampleRun", "SymmetrizeOptions", "symmetrize"]
