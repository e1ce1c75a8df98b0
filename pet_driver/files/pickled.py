"""Reads files written by torch.save without running code in them.

A pickle is a program that may call any function it names. Here it can name the few below and no
others. Tensors are built by this module, and objects of foreign classes become plain records of
their attributes.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from ..errors import PetDriverError

_DTYPES = {
    "torch ByteStorage": torch.uint8,
    "torch CharStorage": torch.int8,
    "torch ShortStorage": torch.int16,
    "torch IntStorage": torch.int32,
    "torch LongStorage": torch.int64,
    "torch BoolStorage": torch.bool,
    "torch HalfStorage": torch.float16,
    "torch BFloat16Storage": torch.bfloat16,
    "torch FloatStorage": torch.float32,
    "torch DoubleStorage": torch.float64,
}
# Classes of which the attributes are kept, without the class.
_RECORDS = (
    "metatrain.utils.data.dataset DatasetInfo",
    "metatrain.utils.data.target_info TargetInfo",
    "torch ScriptObject",
)
# Exceptions that a damaged or hostile file can cause in pickle, zipfile or torch.
_FAILURES = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


class Record:
    """An object of a class that is not available here; its saved state is in ``state``."""

    def __init__(self) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:  # noqa: ANN401 (any object)
        self.state = state

    def get(self, name: str, otherwise: Any = None) -> Any:  # noqa: ANN401
        """Saved attribute of this name.

        :param otherwise: returned where there is no such attribute
        """
        return self.state.get(name, otherwise) if isinstance(self.state, dict) else otherwise


def read_pickled(path: Path) -> Any:  # noqa: ANN401
    """Object in a file written by torch.save.

    :raises PetDriverError: if the file is something else, is damaged, or names a function or class
        that is not allowed
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(path, archive)
    except PetDriverError:
        raise
    except zipfile.BadZipFile as error:
        raise PetDriverError(_foreign(path)) from error
    except _FAILURES as error:
        raise PetDriverError(
            f"{path} is damaged ({type(error).__name__}: {' '.join(str(error).split())}); get the "
            "file anew"
        ) from error


def _read(path: Path, archive: zipfile.ZipFile) -> Any:  # noqa: ANN401
    """Object in the archive of torch.save."""
    names = archive.namelist()
    if any(name.split("/")[1:2] == ["code"] for name in names):
        raise PetDriverError(
            f"{path} is an exported TorchScript model, a program that cannot be converted; give "
            "the .ckpt file of the training that it was exported from"
        )
    pickles = [name for name in names if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise PetDriverError(
            f"{path} is an archive, but was not written by torch.save; give a .ckpt file of "
            "metatrain"
        )
    with archive.open(pickles[0]) as file:
        return _Reader(file, path, archive, pickles[0].removesuffix("data.pkl")).load()


def _foreign(path: Path) -> str:
    """Message about a file that is not an archive: what its first bytes show it to be."""
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PK\x03\x04":
        return f"{path} is truncated: the end of the archive is missing; get the file anew"
    if start[:2] == b"\x1f\x8b":
        return f"{path} is compressed by gzip; unpack it first (`gunzip {path.name}`)"
    if start[:1] == b"\x80":
        return (
            f"{path} is a bare pickle, which may run code and is not read; save it again with a "
            "newer torch, or give a .ckpt file of metatrain"
        )
    return f"{path} is not a checkpoint of torch; give a .ckpt file of metatrain"


class _Reader(pickle.Unpickler):
    """Unpickler of tensors, plain containers and records; an error names anything else."""

    def __init__(
        self,
        file: IO[bytes],
        path: Path,
        archive: zipfile.ZipFile,
        folder: str,
    ) -> None:
        super().__init__(file, encoding="utf-8")
        self._path = path
        self._archive = archive
        self._folder = folder
        self._storages: dict[str, Tensor] = {}
        self._check_order()

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        """Class or function that the pickle names.

        :raises PetDriverError: if it is not allowed
        """
        wanted = f"{module} {name}"
        if wanted in _DTYPES:
            return _DTYPES[wanted]
        if wanted in _RECORDS:
            return Record
        if wanted in _CALLABLES:
            return _CALLABLES[wanted]
        raise PetDriverError(
            f"{self._path} asks for {module}.{name}, which could run code and is not part of a "
            "checkpoint of PET, so the file is not read; give a .ckpt file of metatrain"
        )

    def persistent_load(self, saved: Any) -> Tensor:  # noqa: ANN401
        """One-dimensional tensor of a storage in the archive.

        :raises ValueError: if its type is unknown or its size wrong
        """
        label, dtype, key, _, count = saved
        if label != "storage" or not isinstance(dtype, torch.dtype):
            raise ValueError(f"unknown storage {label!r}")
        if key not in self._storages:
            data = bytearray(self._archive.read(f"{self._folder}data/{key}"))
            if len(data) != count * dtype.itemsize:
                raise ValueError(f"storage {key} has {len(data)} bytes for {count} numbers")
            empty = torch.empty(0, dtype=dtype)
            self._storages[key] = torch.frombuffer(data, dtype=dtype) if data else empty
        return self._storages[key]

    def _check_order(self) -> None:
        """Raise ValueError if the numbers are not little-endian."""
        name = f"{self._folder}byteorder"
        if name in self._archive.namelist() and self._archive.read(name) != b"little":
            raise ValueError("numbers in big-endian order")


class _Maker:
    """A function that a pickle may call but whose state it may not set."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *arguments: Any) -> Any:  # noqa: ANN401
        return self._make(*arguments)

    def __setstate__(self, state: Any) -> None:  # noqa: ANN401
        raise pickle.UnpicklingError("a function has no state")


def _tensor(
    storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> Tensor:
    """Tensor of this size, stride and offset in a storage."""
    return torch.as_strided(storage, size, stride, offset).clone()


def _parameter(values: Tensor, *_: object) -> Tensor:
    """Values of a parameter, as a plain tensor."""
    return values


_CALLABLES = {
    "collections OrderedDict": _Maker(OrderedDict),
    "torch._utils _rebuild_tensor_v2": _Maker(_tensor),
    "torch._utils _rebuild_parameter": _Maker(_parameter),
    "torch Size": _Maker(tuple),
    "builtins set": _Maker(set),
    "__builtin__ set": _Maker(set),
}
