"""The structure that gives the elements, in i-PI's order, and the periodicity."""

from __future__ import annotations

import re
from pathlib import Path

import ase.io
from ase import Atoms
from ase.cell import Cell

from ...errors import PetDriverError
from ...graph import System, check_structure
from ...units import BOHR
from ..ase import reading_error

_CELL = re.compile(r"\bCELL[(\[{](\w+)[)\]}]:([-+0-9.eE\s]*)")  # of a comment by i-PI
_UNIT = r"\b{}\{{(\w*)\}}"
_LENGTHS = {"angstrom": 1.0, "atomic_unit": BOHR}


def read_template(path: Path) -> System:
    """Read a template, the last structure of a file; xyz files by i-PI itself are periodic.

    :raises PetDriverError: if there is no such file, ASE cannot read it, the structure lacks
        atoms, elements, or lattice vectors in periodic directions, or the cell or the units of a
        file by i-PI are not understood
    """
    try:
        # In an MPI job ASE would broadcast, in which i-PI takes no part.
        atoms = ase.io.read(path, parallel=False, do_not_split_by_at_sign=True)
        assert isinstance(atoms, Atoms)  # as no index asks for several
        comment = "" if atoms.cell.any() else _last_comment(path)
    except FileNotFoundError as error:
        raise PetDriverError(f"there is no template {path}; give a structure") from error
    except Exception as error:  # ASE's readers raise anything
        raise PetDriverError(
            f"the template {path} cannot be read: {reading_error(error)}; give a file that ASE "
            "reads"
        ) from error
    found = _CELL.search(comment)
    if found is not None:
        _take_cell(atoms, found, comment, path)
    template = System.from_atoms(atoms)
    check_structure(template)
    return template


def _last_comment(path: Path) -> str:
    """Comment of the last structure of an xyz file; of other files there is none."""
    try:
        lines = path.read_text().rstrip().splitlines()
    except UnicodeDecodeError:
        return ""
    position, comment = 0, ""
    while position + 1 < len(lines) and lines[position].strip().isdigit():
        comment = lines[position + 1]
        position += int(lines[position]) + 2
    return comment


def _take_cell(atoms: Atoms, found: re.Match[str], comment: str, path: Path) -> None:
    """Take cell and units from a comment by i-PI, whose simulations are always periodic.

    :raises PetDriverError: if they are not understood
    """
    kind, numbers = found[1], found[2].split()
    positions, cell = (
        (re.search(_UNIT.format(name), comment) or ("", ""))[1] for name in ("positions", "cell")
    )
    cell = cell or "atomic_unit"  # i-PI's own default
    if kind != "abcABC" or len(numbers) != 6 or not {positions, cell} <= _LENGTHS.keys():
        raise PetDriverError(
            f"the comment of the template {path} is by i-PI, but not of the form "
            "`# CELL(abcABC): a b c alpha beta gamma positions{angstrom} cell{angstrom}`; write "
            "it so, or give extxyz with Lattice and pbc"
        )
    atoms.positions *= _LENGTHS[positions]
    lengths, angles = map(float, numbers[:3]), map(float, numbers[3:])
    atoms.cell = Cell.fromcellpar([*(x * _LENGTHS[cell] for x in lengths), *angles])
    atoms.pbc = True
