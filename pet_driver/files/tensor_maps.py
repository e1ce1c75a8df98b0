"""Reads tables of numbers by species that metatrain stores within its checkpoints."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor


def read_table(buffer: Tensor) -> dict[int, npt.NDArray[Any]]:
    """Values of each sample in the only block of a metatensor file.

    :param buffer: (n_bytes,), uint8: an archive of .npy files
    :return: values by the first label of the sample
    :raises ValueError: if it is damaged, has several blocks, or its samples have no labels
    """
    try:
        with zipfile.ZipFile(io.BytesIO(buffer.numpy().tobytes())) as archive:
            names = archive.namelist()
            if sum(name.endswith("/samples.npy") for name in names) != 1:
                raise ValueError("a table of several blocks")
            samples = _array(archive, "blocks/0/samples.npy")
            values = _array(archive, "blocks/0/values.npy")
    except zipfile.BadZipFile as error:
        raise ValueError(f"a damaged table: {error}") from error
    if not samples.dtype.names:
        raise ValueError("a table whose samples have no labels")
    first = samples[samples.dtype.names[0]]
    return {int(sample): row for sample, row in zip(first, values, strict=True)}


def _array(archive: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    """Array in a .npy file of the archive."""
    return np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)
