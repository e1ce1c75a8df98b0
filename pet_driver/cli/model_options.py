"""Options that every verb which loads a model shares."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..potential import Potential


def add_model_options(parser: argparse.ArgumentParser, dtype: str = "float32") -> None:
    """MODEL, --scope, --device, --dtype."""
    parser.add_argument(
        "model", metavar="MODEL", help="name of a shipped model, or path of a model file"
    )
    parser.add_argument(
        "--scope",
        default=None,
        help="averaged over frames: layer (exact), none (plain PET); default: as trained",
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    parser.add_argument("--dtype", default=dtype, help=f"float32 or float64 (default: {dtype})")


def load(options: argparse.Namespace) -> Potential:
    """The model that the options ask for."""
    from ..potential import load_model

    return load_model(options.model, options.device, options.dtype, options.scope)
