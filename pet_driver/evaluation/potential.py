"""Evaluation of structures and graphs: energies, forces, virials and atomic energies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from ..errors import PetDriverError
from ..files.checkpoint import Checkpoint, load_checkpoint
from ..frames import NAMED_CONSTANTS, FrameSet
from ..graph import (
    ChargeAndSpin,
    Graph,
    StructureGraphs,
    Structures,
    System,
    VerletCache,
    as_systems,
    forces_and_virials,
)
from ..parallel import ExchangeDomain, PairDomain
from ..runtime.arithmetic import Arithmetic
from ..runtime.devices import choose_device
from .chunking import Chunking, batches_for
from .closest_seen import ClosestSeen
from .described_model import DescribedModel
from .domains import open_domain
from .evaluation import EvaluationRequest
from .loaded_model import LoadedModel
from .options import EvaluationOptions
from .prediction import Prediction
from .resident import ResidentEvaluation
from .resident_steps import StepRecipe
from .scope_advice import warn_about_scope
from .scopes import Evaluator

if TYPE_CHECKING:
    from mpi4py import MPI

    from ..parallel import Domain

T = TypeVar("T")
_MANY_SAMPLES = 65_536  # where halving begins after a shortage, if no number was chosen before


class Potential(DescribedModel):
    """A model ready to evaluate structures and graphs.

    :param model: content of a model file, or the `model` of another potential, to share its weights
    :param options: None: the defaults
    :param keywords: options by name, which replace those of ``options``; see `EvaluationOptions`
    :raises PetDriverError: if an option is wrong, the device is not there, or a shared model has
        another device or dtype

    model: network and units; options: of the evaluation; scope: the one in use; device: of the
    network; chunking: number of samples evaluated at a time; resident: evaluation of atoms that
    come again, whose lists stay on a GPU, None: there is none.

    >>> from ase.build import molecule
    >>> water = molecule("H2O")
    >>> prediction = load_model("water", dtype="float64").compute(water)
    >>> prediction.forces.shape
    (3, 3)
    """

    def __init__(
        self,
        model: Checkpoint | LoadedModel,
        options: EvaluationOptions | None = None,
        **keywords: Any,  # noqa: ANN401 (of many types; checked by EvaluationOptions)
    ) -> None:
        if options is None:
            options = EvaluationOptions.from_keywords(**keywords)
        elif keywords:
            options = options.replace(**keywords)
        self.device = choose_device(options.device)
        if isinstance(model, LoadedModel):
            model.check_placement(self.device, options.dtype)
            self.model = model
        else:
            self.model = LoadedModel.load(model, self.device, options.dtype)
        self.options = options
        trained = "none" if options.direct else self.hyper.scope
        self.scope = trained if options.scope is None else options.scope
        self._charge_and_spin = ChargeAndSpin(
            self.hyper.foreign.largest_charge,
            self.hyper.foreign.largest_spin,
            options.charge,
            options.spin,
        )
        options.check_frames(self.scope)
        if options.direct:
            self.model.check_direct_forces(self.scope)
        self.chunking = Chunking(self.device, options.memory_share, options.chunk)
        lists = VerletCache(self.neighbor_cutoff, options.skin)
        self._graphs = StructureGraphs(self.species, lists, self._charge_and_spin, self.device)
        constants = None if options.frames is None else NAMED_CONSTANTS[options.frames]
        chosen = (options.device, options.dtype, options.precision, options.deterministic)
        self._evaluator = Evaluator(
            self.model.network,
            self.scope,
            constants,
            options.extra_rotations,
            options.parity,
            Arithmetic.chosen(*chosen),
        )
        recipe = StepRecipe(self._evaluator, self.model.rescaling, options.cuda_graph)
        self.resident = ResidentEvaluation.chosen(
            options, recipe, self._graphs, self.chunking.allowed
        )
        self._closest = ClosestSeen(self.card.get("closest_pairs_angstrom", {}), self.hyper)
        if isinstance(model, Checkpoint):
            warn_about_scope(self.name, self.hyper, self.scope)

    # -- evaluation --

    @overload
    def compute(self, structures: Atoms | System) -> Prediction: ...

    @overload
    def compute(self, structures: Sequence[Atoms | System]) -> list[Prediction]: ...

    def compute(self, structures: Structures) -> Prediction | list[Prediction]:
        """Evaluate one structure, or several, in batches.

        :return: a prediction for each structure, in the order given
        :raises PetDriverError: for unknown elements, charges or spins, impossible geometries,
            structures without atoms, and results that are not finite
        """
        if isinstance(structures, Atoms | System):
            return self.compute([structures])[0]
        systems = as_systems(structures)
        for index, system in enumerate(systems):
            if not len(system):
                raise PetDriverError(f"structure {index} has no atoms; give at least one")
        found: list[Prediction] = []
        with torch.inference_mode(False):  # gradients are needed, wherever this is called
            for group in batches_for(self.device, systems):
                found += self._computed(group)
        return found

    def evaluate(self, graph: Graph) -> Prediction:
        """Evaluate the atoms of a graph that this process owns.

        Collective over the processes that share the graph. ``energy`` and ``virial`` are those of
        the whole system, the same on every rank; ``energies``, ``forces`` and covariant outputs
        those of the process's own atoms.

        :raises PetDriverError: on every rank, if results are not finite or any rank failed
        """
        evaluator, count = self._evaluator, graph.n_centres
        return self.chunking.retried(
            lambda: self._attempt(graph),
            lambda: graph.collective.largest(min(count, evaluator.at_once or count)),
        ).of_all(graph.collective)

    def evaluate_share(self, domain: Domain | PairDomain) -> Prediction:
        """Evaluate one rank's share of a structure, at the positions that it has followed.

        Collective; results and errors as of `evaluate`.
        """
        if self.resident is not None and isinstance(domain, ExchangeDomain | PairDomain):
            found = self.resident.compute_share(domain)
            return self.evaluate(found) if isinstance(found, Graph) else found
        return self.evaluate(domain.graph())

    def graph(self, structures: Structures) -> Graph:
        """Make the graph of whole structures, one after another.

        :raises PetDriverError: for unknown elements, charges or spins, and impossible geometries
        """
        return self._graphs.of(structures)

    def open_domain(
        self, comm: MPI.Comm, halo: str = "exchange", skin: float | None = None
    ) -> Domain:
        """Open one rank's share of a structure that is spread over ranks. Collective.

        :param comm: communicator of the ranks that share the structure
        :param halo: "exchange" or "wide", see `domains.open_domain`
        :param skin: angstrom; None: that of the options
        :raises PetDriverError: if halo is unknown, or the scope or the direct forces need all atoms
            on one rank
        """
        skin = self.options.skin if skin is None else skin
        if self.options.direct:
            raise PetDriverError(
                "direct forces are for whole structures on one rank; use scope none on several"
            )
        return open_domain(self.hyper, self.scope, self.device, comm, halo, skin)

    # -- other potentials of the same weights --

    def plain(self) -> Potential:
        """Plain PET, without frames, of the same weights, which are shared."""
        return Potential(self.model, self.options.plain())

    def direct(self) -> Potential:
        """Plain PET with the forces that the model reads out directly, of the same weights.

        It is about twice as fast. The forces are not the gradient of the energy, so they do not
        conserve it; use them for the inner steps of multiple time stepping. The mean of all forces
        is subtracted. The virial is a direct output too, or zero if the model has none.

        :raises PetDriverError: if the model has no such output
        """
        return Potential(self.model, self.options.plain(direct=True))

    # -- frames and uncertainty --

    def frame_deviation(self, structure: Atoms | System) -> NDArray[np.float64]:
        """Standard deviation of each atom's energy over its frames, (n_atoms,), eV.

        Messages are averaged as in scope layer. It measures how far plain PET is from rotational
        symmetry at each atom. Where several layers read energies out (block "paper"), it is the
        root of the sum of their variances.
        """
        graph = self.graph(structure)
        variance = self._in_parts(lambda request: self._evaluator.energy_variance(graph, request))
        deviation: NDArray[np.float64] = variance.to(torch.float64).sqrt().cpu().numpy()
        return deviation * self.model.rescaling.energy_scale

    def symmetrization_forces(self, structures: Structures) -> list[NDArray[np.float64]]:
        """The part of the forces that stems from frames, (n_atoms, 3) each, eV/angstrom.

        It is the force minus the one with frames and weights held fixed: the gradient of the
        weights times the disagreement of the frames, and the turning of the frames times the
        torque of the network. It is zero for plain PET, and for a network that gives the same
        energy in every orientation.
        """
        found: list[NDArray[np.float64]] = []
        with torch.inference_mode(False):  # gradients are needed, wherever this is called
            for group in batches_for(self.device, as_systems(structures)):
                found += self._symmetrization_forces(group)
        return found

    def _symmetrization_forces(self, systems: list[System]) -> list[NDArray[np.float64]]:
        graph = self._charge_and_spin.filled(self.graph(systems))
        evaluation = self._in_parts(lambda request: self._evaluator.evaluate(graph, request))
        through = evaluation.symmetrization
        if through is None:
            through = torch.zeros_like(evaluation.gradient)
        with self._evaluator.arithmetic.context():
            forces, _ = forces_and_virials(graph, through * self.model.rescaling.energy_scale)
        return np.split(forces.cpu().numpy(), np.cumsum(graph.sizes)[:-1])

    def energy_uncertainty(self, structures: Structures) -> NDArray[np.float64]:
        """Standard deviation of the energy of each structure, (n_structures,), eV.

        It is ``|A f|`` with the sum f of the last-layer features and a matrix A of the model file
        (Bigi, Chong, Ceriotti, Grasselli, Mach. Learn.: Sci. Technol. 5, 045018 (2024)). In the
        scopes atom and structure the features are those of the plain network.

        :raises PetDriverError: if the model has no such matrix
        """
        self.model.check_uncertainty()
        graph = self.graph(structures)
        features = self._in_parts(lambda request: self._evaluator.features(graph, request))
        with self._evaluator.arithmetic.context():
            return self.model.energy_deviation(graph.sums(features)).cpu().numpy()

    def frames(self, structures: Structures) -> FrameSet:
        """Frames and weights of every atom, sorted by atom, one structure after another."""
        return self._evaluator.frames(self.graph(structures))

    def _in_parts(self, evaluate: Callable[[EvaluationRequest], T]) -> T:
        """Result of whole structures, in parts that fit into memory."""
        return self.chunking.retried(
            lambda: evaluate(EvaluationRequest(self.chunking.allowed(), self.chunking.chunk)),
            lambda: self._evaluator.at_once or _MANY_SAMPLES,
        )

    def _computed(self, systems: list[System]) -> list[Prediction]:
        """Predictions of structures that are evaluated together."""
        found = None if self.resident is None else self.resident.compute(systems)
        if isinstance(found, list):
            return found
        graph = found or self.graph(systems)
        return self.evaluate(graph).split(graph.sizes)

    def _attempt(self, graph: Graph) -> Prediction:
        """Evaluate a graph once; energy and virial are sums over this process's own atoms."""
        with graph.collective.evaluation(), self._evaluator.arithmetic.context():
            filled = self._charge_and_spin.filled(graph)
            request = EvaluationRequest(
                self.chunking.allowed(), self.chunking.chunk, not self.options.direct
            )
            found = self._evaluator.evaluate(filled, request)
            found = self.model.rescaling.applied(found, filled)
            forces, virials = forces_and_virials(graph, found.gradient)
            prediction = Prediction.of(found, forces, virials)
            self._closest.look(graph)
            prediction.check_structures(graph.sizes, graph.atom_names)
            return prediction.with_direct_forces(graph.sizes) if self.options.direct else prediction


def load_model(
    name: str | Path,
    device: str = "cpu",
    dtype: str = "float32",
    scope: str | None = None,
    **options: Any,  # noqa: ANN401 (of many types; checked by EvaluationOptions)
) -> Potential:
    """Load a model for evaluation.

    :param name: name of a shipped model or path of a model file
    :param device: "cpu", "cuda" or "cuda:N"
    :param dtype: "float32" or "float64", of the network; results are accumulated in float64
    :param scope: "layer", "atom", "structure", "none", or None for the scope of training
    :param options: other options by name, see `EvaluationOptions`
    :raises PetDriverError: if the model or the device is not there, or an option is wrong
    """
    chosen = EvaluationOptions.from_keywords(device=device, dtype=dtype, scope=scope, **options)
    return Potential(load_checkpoint(name), chosen)
