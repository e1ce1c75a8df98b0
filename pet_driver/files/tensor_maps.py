"""Tables of numbers by species, as metatrain keeps them inside of its checkpoints."""

from __future__ import annotations

import io
import zipfile

import numpy as np
from torch import Tensor


def read_table(buffer: Tensor) -> dict[int, np.ndarray]:
    """The only block of a metatensor file: of each sample, named by its first number, the values.

    :param buffer: (n_bytes,), uint8: an archive of .npy files
    :raises ValueError: if it has several blocks or is damaged
    """
    with zipfile.ZipFile(io.BytesIO(buffer.numpy().tobytes())) as archive:
        names = archive.namelist()
        if sum(name.endswith("/samples.npy") for name in names) != 1:
            raise ValueError("a table of several blocks")
        samples = _array(archive, "blocks/0/samples.npy")
        values = _array(archive, "blocks/0/values.npy")
    first = samples[samples.dtype.names[0]]
    return {int(sample): row for sample, row in zip(first, values, strict=True)}


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    return np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)
