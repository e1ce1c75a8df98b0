"""Point Edge Transformer potentials with exact rotational symmetry, for molecular dynamics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import PetDriverError

if TYPE_CHECKING:
    from .evaluation.potential import Potential, load_model
    from .evaluation.prediction import Prediction

__version__ = "0.2.0"  # the only place; the build reads it from here
__all__ = ["PetDriverError", "Potential", "Prediction", "__version__", "load_model"]


def __getattr__(name: str) -> object:
    # torch is imported at first use, not by `import pet_driver`: launchers set up MPI first.
    if name in ("Potential", "Prediction", "load_model"):
        from .evaluation import potential

        return getattr(potential, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
