"""Former module of `PetUnified`, by which stubs exported until version 0.1 name the class.

A stub (``*.mliap.pt``) is a pickle, and a pickle names the class of its object by module. New stubs
name `pet_driver.engines.lammps.mliap`.
"""

from .lammps.mliap import PetUnified

__all__ = ["PetUnified"]
