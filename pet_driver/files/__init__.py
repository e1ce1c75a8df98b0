"""Model files, and the conversion of models that other programs have trained."""

from .checkpoint import (
    Checkpoint,
    find_model,
    load_checkpoint,
    random_checkpoint,
    save_checkpoint,
    shipped_models,
)
from .conversion import convert

__all__ = [
    "Checkpoint",
    "convert",
    "find_model",
    "load_checkpoint",
    "random_checkpoint",
    "save_checkpoint",
    "shipped_models",
]
