"""Models that others have trained, turned into model files of ours."""

from __future__ import annotations

from pathlib import Path

from ..errors import PetDriverError
from .checkpoint import Checkpoint
from .metatrain import convert_metatrain
from .original import convert_original, is_original
from .pickled import read_pickled

__all__ = ["convert"]


def convert(path: str | Path, variant: str | None = None, sudden_bonds: bool = False) -> Checkpoint:
    """A checkpoint of metatrain's PET, or a folder of the original code.

    :param variant: which of several energies; None: the one called "energy", or the only one. For a
        folder: which of several files of weights
    :param sudden_bonds: the folder was written by the original code before April 2024, when the
        energies of bonds ended at the cutoff without its factor
    :raises PetDriverError: if it is something else, or has what PET Driver cannot do
    """
    path = Path(path)
    if not path.exists():
        raise PetDriverError(f"there is no file or folder {path}; give a checkpoint to convert")
    if path.is_dir():
        if not is_original(path):
            raise PetDriverError(
                f"the folder {path} has no hypers_used.yaml; give a folder that the original PET "
                "has written, or a .ckpt file of metatrain"
            )
        return convert_original(path, variant, sudden_bonds)
    if sudden_bonds:
        raise PetDriverError(
            f"{path} is no folder of the original PET; checkpoints of metatrain have the cutoff "
            "factor in the energies of bonds, leave the option out"
        )
    return convert_metatrain(path, read_pickled(path), variant)
