"""LAMMPS: `pet-lmp`, functions for its Python interpreter, and `pair_style mliap unified`.

Importing this package imports neither torch nor MPI.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .embedded import pet_attach, pet_register, pet_report

__all__ = ["pet_attach", "pet_register", "pet_report"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from . import embedded

        return getattr(embedded, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
