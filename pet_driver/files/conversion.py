"""Conversion of models that other programs have trained."""

from __future__ import annotations

from pathlib import Path

from ..errors import PetDriverError
from .checkpoint import Checkpoint
from .metatrain import convert_metatrain
from .original import convert_original, is_original
from .pickled import read_pickled

__all__ = ["convert"]


def convert(path: str | Path, variant: str | None = None, sudden_bonds: bool = False) -> Checkpoint:
    """Convert a checkpoint of metatrain's PET, or a folder of the original PET code.

    Neither program need be installed, and nothing in the files is executed.

    :param path: ``.ckpt`` file of metatrain, or folder with ``hypers_used.yaml``
    :param variant: of a checkpoint, which of several energies; None: the one named "energy", or the
        only one. Of a folder, which of several files of weights
    :param sudden_bonds: whether the folder was written by the original code before April 2024, when
        bond energies ended at the cutoff without the cutoff factor
    :return: a checkpoint with scope "none", as these models are trained
    :raises PetDriverError: if it is something else, is damaged, or needs what pet-driver lacks
    """
    path = Path(path)
    if not path.exists():
        raise PetDriverError(f"there is no file or folder {path}; give a checkpoint to convert")
    if path.is_dir():
        if not is_original(path):
            raise PetDriverError(
                f"the folder {path} has no hypers_used.yaml; give a folder that the original PET "
                "wrote, or a .ckpt file of metatrain"
            )
        return convert_original(path, variant, sudden_bonds)
    if sudden_bonds:
        raise PetDriverError(
            f"{path} is not a folder of the original PET; bond energies of metatrain's checkpoints "
            "have the cutoff factor, so leave the option out"
        )
    return convert_metatrain(path, read_pickled(path), variant)
