"""`pair_style mliap unified` for LAMMPS builds with ML-IAP and Python.

The file that LAMMPS loads is a stub: where the model is, its hash, how it runs; never weights.
LAMMPS hands over pairs of atoms within the cutoff, and takes energies of atoms and the gradient
with respect to each pair's vector. It tells neither ids nor positions, so what a ghost has heard
can be had in two ways: with the last word `1` LAMMPS lists the pairs of ghosts too, as deep as
`comm_modify cutoff` lets them reach, and their environments are evaluated here; with `0` and
`pet_register` in the script, ranks exchange messages, as with `pet-lmp`.
"""

from __future__ import annotations

import os
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ase.data import chemical_symbols
from torch import Tensor

from ...errors import PetDriverError
from ...evaluation.potential import Potential
from ...files.checkpoint import load_checkpoint
from ...parallel import NodePlace, PairDomain, ReceptiveHalo
from ...runtime.devices import device_of_rank
from .mliap_data import Pairs, check_interface, exchanged_ids, hand_over, is_kokkos
from .options import ENERGY_UNITS
from .pair import MEMORY_SHARE, abort

if TYPE_CHECKING:
    from lammps import lammps

_SAME_ENVIRONMENT = 1e-6  # angstrom, of sums of distances
_SKIN = 2.0  # angstrom, LAMMPS' own in metal and real units

# LAMMPS does not tell a pair style's Python object which instance it belongs to; a script may.
_registered: list[lammps] = []


def register(lmp: lammps) -> None:
    """From here on models may ask this instance for ids, positions and the communicator."""
    _registered[:] = [lmp]


class PetUnified:
    """What LAMMPS calls: the methods and attributes of its `MLIAPUnified`.

    :param path: of the model file
    :param digest: its hash, against mistakes
    :param units: "metal" or "real", of the scripts in which it will be used
    :param options: device, dtype, scope, parity, extra_rotations as in `load_model`
    """

    def __init__(
        self,
        path: str,
        digest: str,
        species: tuple[int, ...],
        cutoff: float,
        units: str,
        options: dict[str, Any],
    ) -> None:
        self.path, self.digest, self.units, self.options = path, digest, units, options
        self.element_types = [chemical_symbols[number] for number in species]
        self.rcutfac = 0.5 * cutoff  # LAMMPS takes twice that, for every pair
        self._reset()

    def _reset(self) -> None:
        self.interface = None
        self.ndescriptors = self.nparams = 1
        self._potential: Potential | None = None
        self._domain = None
        self._tested = False

    def __getstate__(self) -> dict[str, Any]:
        names = ("path", "digest", "units", "options", "element_types", "rcutfac")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def compute_descriptors(self, data: Any) -> None:  # noqa: ANN401 (LAMMPS' own class)
        """Nothing to do."""

    def compute_gradients(self, data: Any) -> None:  # noqa: ANN401
        """Nothing to do."""

    def compute_forces(self, data: Any) -> None:  # noqa: ANN401
        """Energies and forces of this rank's atoms. An error ends the job with one sentence and
        exit code 2, as LAMMPS would answer an exception with a traceback.
        """
        try:
            self._compute(data)
        except PetDriverError as error:
            _end_all(str(error))
        except Exception as error:  # whatever it is, other ranks may wait for this one
            _end_all(f"{type(error).__name__}: {error}")

    # -- one step --

    def _compute(self, data: Any) -> None:  # noqa: ANN401
        potential = self._load(data)
        lists_ghosts = data.natomneigh > data.nlistatoms
        pairs = Pairs(data)
        if lists_ghosts or potential.hyper.depth == 1:
            energies, gradient = self._from_pairs(pairs, lists_ghosts)
        elif _registered or is_kokkos(data):
            energies, gradient = self._with_exchange(pairs, data)
        else:
            raise PetDriverError(
                "a model of several message layers must know of ghosts: end the line with "
                f"`pair_style mliap unified FILE 1` and add `comm_modify cutoff "
                f"{self._wide_cutoff():.2f}`, or call pet_register in the script "
                "(lammps_examples/ml_iap)"
            )
        unit = ENERGY_UNITS[self.units]
        hand_over(data, energies * unit, gradient * unit)

    def _from_pairs(self, pairs: Pairs, lists_ghosts: bool) -> tuple[np.ndarray, Tensor]:
        """Energies (n_local,) and gradient (n_pairs, 3), from the pairs alone."""
        potential = self._potential
        plan = ReceptiveHalo(
            pairs.n_local,
            potential.hyper.depth,
            pairs.species,
            pairs.centre,
            pairs.neighbor,
            pairs.vectors,
            potential.device,
        )
        if lists_ghosts and not self._tested:
            self._tested = True
            self._check_ghosts(plan)
        found, slopes = potential.compute_edges(plan)
        return pairs.spread(found), pairs.per_pair(slopes, plan.used)

    def _with_exchange(
        self,
        pairs: Pairs,
        data: Any,  # noqa: ANN401
    ) -> tuple[np.ndarray, Tensor]:
        """The same, with messages of other ranks."""
        from mpi4py import MPI

        if self._domain is None:
            comm = _registered[0].get_mpi_comm() if _registered else MPI.COMM_WORLD
            self._domain = PairDomain(comm, self._potential.cutoff)
        ids = exchanged_ids(data) if is_kokkos(data) else _listed_ids(_registered[0], data.ntotal)
        used = self._domain.update_pairs(
            ids[pairs.seen],
            pairs.species,
            pairs.n_local,
            (pairs.centre, pairs.neighbor),
            pairs.vectors,
        )
        if not self._tested:
            self._tested = True
            self._domain.self_test(self._potential.device)
        prediction = self._potential.compute_domain(self._domain)
        slopes = pairs.per_pair(prediction.edge_gradients, used)
        return pairs.spread(prediction.energies), slopes

    # -- once --

    def _load(self, data: Any) -> Potential:  # noqa: ANN401
        if self._potential is None:
            from mpi4py import MPI

            check_interface(data)
            place = NodePlace.find(MPI.COMM_WORLD)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what there is to say was said at the export
                self._potential = _load_model(self, place)
        return self._potential

    def _wide_cutoff(self) -> float:
        return self._potential.hyper.depth * self._potential.cutoff + _SKIN

    def _check_ghosts(self, plan: ReceptiveHalo) -> None:
        """Every environment of a ghost must be that of some atom on some rank; on the first step.

        :raises PetDriverError: if one is not: its neighbors are beyond the reach of the ghosts
        """
        from mpi4py import MPI

        marks = _marks(plan)
        known = np.concatenate(MPI.COMM_WORLD.allgather(marks[: plan.n_roots]))
        ghosts = marks[plan.n_roots :]
        lonely = 0
        for mark in np.unique(ghosts, axis=0):
            alike = known[(known[:, :2] == mark[:2]).all(axis=1)]
            lonely += not (np.abs(alike[:, 2:] - mark[2:]).max(axis=1) < _SAME_ENVIRONMENT).any()
        if lonely:
            raise PetDriverError(
                f"the ghosts do not reach far enough: {lonely} of those whose environments are "
                f"evaluated here lack neighbors; add `comm_modify cutoff {self._wide_cutoff():.2f}`"
            )


def _marks(plan: ReceptiveHalo) -> np.ndarray:
    """(n_centres, 4): element, number of neighbors, sum and sum of squares of their distances, of
    the environments that are evaluated.
    """
    valid = plan.environments.valid.cpu().numpy()
    lengths = np.linalg.norm(plan.environments.pad(plan.vectors).cpu().numpy(), axis=2)
    columns = [
        plan.environments.centre_species.cpu().numpy(),
        valid.sum(axis=1),
        (lengths * valid).sum(axis=1),
        (np.square(lengths) * valid).sum(axis=1),
    ]
    return np.column_stack(columns)


def _listed_ids(lmp: lammps, count: int) -> np.ndarray:
    return np.array(lmp.numpy.extract_atom("id", nelem=count), dtype=np.int64).ravel()


def _load_model(stub: PetUnified, place: NodePlace) -> Potential:
    try:
        checkpoint = load_checkpoint(stub.path)
    except PetDriverError as error:
        raise PetDriverError(f"{error}; it was there when the stub was exported") from error
    if checkpoint.digest != stub.digest:
        raise PetDriverError(
            f"{stub.path} has changed since the stub was exported (sha256 "
            f"{checkpoint.digest[:12]}, was {stub.digest[:12]}); run `pet-driver export-mliap` anew"
        )
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(place.cores)
    options = dict(stub.options)
    device = device_of_rank(options.pop("device", "cpu"), place.rank)
    return Potential(checkpoint, device, memory_share=MEMORY_SHARE / place.size, **options)


def _end_all(sentence: str) -> None:
    from mpi4py import MPI

    rank = MPI.COMM_WORLD.rank
    if rank:
        time.sleep(1.5)  # all ranks may have the same to say: the first one's word is enough
    abort(MPI.COMM_WORLD, f"rank {rank}: {sentence}")
