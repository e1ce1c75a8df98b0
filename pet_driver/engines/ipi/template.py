"""The structure that gives the elements, in i-PI's order, and the periodicity."""

from __future__ import annotations

from pathlib import Path

import ase.io
from ase import Atoms

from ...errors import PetDriverError
from ...graph import System, check_structure
from ..ase import reading_error


def read_template(path: Path) -> System:
    """Read a template, the last structure of a file.

    :raises PetDriverError: if there is no such file, ASE cannot read it, or the structure lacks
        atoms, elements, or lattice vectors in periodic directions
    """
    try:
        # In an MPI job ASE would broadcast, in which i-PI takes no part.
        atoms = ase.io.read(path, parallel=False, do_not_split_by_at_sign=True)
        assert isinstance(atoms, Atoms)  # as no index asks for several
        template = System.from_atoms(atoms)
    except FileNotFoundError as error:
        raise PetDriverError(f"there is no template {path}; give a structure") from error
    except Exception as error:  # ASE's readers raise anything
        raise PetDriverError(
            f"the template {path} cannot be read: {reading_error(error)}; give a file that ASE "
            "reads"
        ) from error
    check_structure(template)
    return template
