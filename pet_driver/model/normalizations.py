"""Kinds of normalization of features, by their names in hyperparameters."""

from __future__ import annotations

from torch import nn

from .twice_differentiable import LayerNorm

NORMALIZATIONS: dict[str, type[nn.RMSNorm] | type[LayerNorm]] = {
    "rms": nn.RMSNorm,
    "layer": LayerNorm,
}
