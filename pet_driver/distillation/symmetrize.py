"""Exact symmetry for a model that was trained plain, without labels: checks, and the way in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import PetDriverError
from ..files.checkpoint import Checkpoint
from ..graph import System, check_structure, species_indices
from .measures import Reference
from .options import SymmetrizeOptions
from .parts import divided
from .procedure import Procedure
from .report import Report
from .student import Student
from .work_folder import WorkFolder, digest

_KIND_OF_LABELS = "with energies of atoms"  # version 0.2.0 made them without


def symmetrize(
    origin: Checkpoint,
    structures: Sequence[System],
    folder: Path,
    options: SymmetrizeOptions | None = None,
    references: Sequence[Reference] | None = None,
    restart: bool = False,
    say: Callable[[str], None] = print,
) -> tuple[Checkpoint, Report]:
    """Make an exactly symmetric model, in scope "layer", of one that was trained plain.

    :param origin: the plain model
    :param structures: to label by the teacher, and to start dynamics from
    :param folder: for what a resumed run continues from
    :param references: labels of the structures, for the report alone; None: there are none
    :param restart: do not continue an earlier run
    :param say: receives sentences for the user
    :return: the model, whose card holds the numbers of the report
    :raises PetDriverError: if the model is not plain, lacks an element, a structure is not valid,
        there are too few, or the folder belongs to another run
    """
    chosen = options or SymmetrizeOptions()
    student = Student.of(origin)
    _check(origin, structures)
    kept = _first_of_equals(structures)
    if not chosen.runs:
        divided(len(kept), [], chosen.seed)
    identity = {
        "model": origin.digest,
        "set of structures": digest(structures),
        "sampling": [run.words for run in chosen.runs],
        "parity": chosen.parity,
        "choice of frames": chosen.frames,
        "seed": chosen.seed,
        "learning rate": chosen.learning_rate,
        "kind of labels": _KIND_OF_LABELS,
    }
    work = WorkFolder(folder, identity, restart)
    given = list(references or [Reference(None, None)] * len(structures))
    if len(kept) < len(structures):
        say(
            f"{len(structures) - len(kept)} of {len(structures)} structures repeat others: left out"
        )
    procedure = Procedure(origin, student, work, chosen, say)
    return procedure.run([structures[i] for i in kept], [given[i] for i in kept])


def _first_of_equals(structures: Sequence[System]) -> list[int]:
    """Positions of structures that differ, so that none is both tuned on and held out."""
    first: dict[str, int] = {}
    for index, system in enumerate(structures):
        first.setdefault(digest([system]), index)
    return list(first.values())


def _check(origin: Checkpoint, structures: Sequence[System]) -> None:
    """Check that the model can evaluate the structures.

    :raises PetDriverError: if it cannot
    """
    for index, system in enumerate(structures):
        try:
            check_structure(system)
            species_indices(system.numbers, origin.hyper.species)
        except PetDriverError as error:
            raise PetDriverError(f"structure {index} (counted from 0): {error}") from error
