"""Check that ghosts reach far enough where LAMMPS lists their pairs too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ...errors import PetDriverError

if TYPE_CHECKING:
    from ...graph import Graph

_SAME_ENVIRONMENT = 1e-6  # angstrom, of sums of distances


def check_ghosts(graph: Graph, needed: float) -> None:
    """Compare the environment of every ghost with those of the atoms of all ranks. Collective.

    :param graph: atoms and edges of this rank
    :param needed: angstrom, depth of ghosts that suffices, for the sentence
    :raises PetDriverError: if one equals none of them: it lacks neighbors
    """
    from mpi4py import MPI

    marks = _fingerprints(graph)
    known = np.concatenate(MPI.COMM_WORLD.allgather(marks[: graph.n_owned]))
    ghosts = marks[graph.n_owned :]
    incomplete = 0
    for mark in np.unique(ghosts, axis=0):
        alike = known[(known[:, :2] == mark[:2]).all(axis=1)]
        same = np.abs(alike[:, 2:] - mark[2:]).max(axis=1) < _SAME_ENVIRONMENT
        incomplete += not same.any()
    if incomplete:
        raise PetDriverError(
            f"the ghosts do not reach far enough: {incomplete} of those whose environments are "
            f"evaluated here lack neighbors; add `comm_modify cutoff {needed:.2f}`"
        )


def _fingerprints(graph: Graph) -> npt.NDArray[np.float64]:
    """Element, number of neighbors, sum and sum of squares of distances, (n_centres, 4)."""
    valid = graph.padded.valid.cpu().numpy()
    lengths = np.linalg.norm(graph.padded.pad(graph.vectors).cpu().numpy(), axis=2)
    columns = [
        graph.padded.centre_species.cpu().numpy(),
        valid.sum(axis=1),
        (lengths * valid).sum(axis=1),
        (np.square(lengths) * valid).sum(axis=1),
    ]
    return np.column_stack(columns)
