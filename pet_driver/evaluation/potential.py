"""The seam: structures in; energy, forces, virial and per-atom energies out. Every engine calls
this and only this.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from ..errors import PetDriverError
from ..files.checkpoint import Checkpoint, load_checkpoint
from ..frames import FrameSet
from ..graph import Batch, ChargeAndSpin, PaddedNeighbors, System, VerletCache, species_indices
from ..graph.edge_exchange import EdgeExchange, LocalExchange
from ..graph.truncation import TruncatedGraph
from ..parallel import ExchangeDomain, ReceptiveHalo, WideDomain
from ..runtime.devices import choose_device
from .chunking import Chunking
from .prediction import DIRECT_FORCES, Prediction
from .rescaling import Rescaling
from .scopes import SCOPES, Evaluation, Evaluator, scope_advice

if TYPE_CHECKING:
    from mpi4py import MPI

_MOST_ATOMS_ON_CPU = 800  # of several structures: beyond that batches get slower again
HALOS = ("exchange", "wide")
DTYPES = {"float32": torch.float32, "float64": torch.float64}


class Potential:
    """A model ready to evaluate.

    :param scope: what is averaged over frames: "layer" (what each centre sends and reads out, exact
        and local), "atom" (each atom's energy with its whole receptive field in its frames, exact
        for any weights), "structure" (the whole structure in the frames of all its atoms, the
        original protocol), "none" (plain PET), or None for the scope of training
    :param chunk: most (centre, frame) rows evaluated at a time; None chooses by the memory present
    :param extra_rotations: use every frame in so many further, fixed orientations
    :param parity: and in their mirror images, so that mirror images have the same energy
    :param memory_share: of the free memory that may be used for intermediate results; divide it
        among processes that share a machine
    :param skin: angstrom; neighbor lists are made so far beyond the cutoff, and used again for
        structures (steps, beads, replicas) whose atoms have moved by less than half of it
    :param charge, spin: of structures that do not say (ASE's ``info`` may), in units of e and as
        multiplicity, for models whose energy depends on them
    :raises PetDriverError: if scope or dtype is unknown or the device is not there
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: str = "cpu",
        dtype: str = "float32",
        scope: str | None = None,
        chunk: int | None = None,
        extra_rotations: int = 0,
        parity: bool = False,
        memory_share: float = 0.4,
        skin: float = 0.5,
        charge: int = 0,
        spin: int = 1,
    ) -> None:
        if dtype not in DTYPES:
            raise PetDriverError(f"dtype is {dtype!r}; choose one of {', '.join(DTYPES)}")
        scope = checkpoint.hyper.scope if scope is None else scope
        if scope not in SCOPES:
            raise PetDriverError(f"scope is {scope!r}; choose one of {', '.join(SCOPES)}")
        if extra_rotations < 0:
            raise PetDriverError(f"extra_rotations is {extra_rotations}; give 0 or more")
        self.device = choose_device(device)
        self.dtype = dtype
        self.scope = scope
        self.memory = Chunking(self.device, memory_share, chunk)
        self.name = checkpoint.name
        self.digest = checkpoint.digest
        self.card = checkpoint.card
        self._neighbor_lists = VerletCache(checkpoint.hyper.reach, skin)
        self.hyper = checkpoint.hyper
        self._charge_and_spin = ChargeAndSpin(
            self.hyper.largest_charge, self.hyper.largest_spin, charge, spin
        )
        self._direct = False
        self._uncertainty = checkpoint.uncertainty
        if self._uncertainty is not None:
            self._uncertainty = self._uncertainty.to(self.device, torch.float64)
        trained = checkpoint.hyper.scope
        advice = scope_advice(trained, scope, self.hyper.message_layers)
        if advice:
            warnings.warn(
                f"{self.name} was trained with scope {trained!r} and runs with {scope!r}: {advice}",
                stacklevel=3,
            )
        # Frozen weights: only the gradient with respect to the edge vectors is ever computed.
        network = checkpoint.network(DTYPES[dtype], self.device).eval().requires_grad_(False)
        self._evaluator = Evaluator(network, scope, extra_rotations, parity)
        self._calibration = Rescaling(checkpoint, self.device)
        self.property_units = checkpoint.property_units
        if scope == "layer" and self.hyper.final_combination and self.hyper.properties:
            names = ", ".join(name for name, _ in self.hyper.properties)
            warnings.warn(
                f"{self.name} has no {names} in scope 'layer': what it reads them out of are "
                "invariants there; other scopes have them",
                stacklevel=3,
            )

    @property
    def cutoff(self) -> float:
        """Distance up to which atoms see each other within one layer, angstrom."""
        return self.hyper.reach

    @property
    def knows_uncertainty(self) -> bool:
        """Whether it came with what `energy_uncertainty` needs."""
        return self._uncertainty is not None

    @property
    def species(self) -> tuple[int, ...]:
        """Atomic numbers that the model knows."""
        return self.hyper.species

    @overload
    def compute(self, structures: Atoms | System) -> Prediction: ...

    @overload
    def compute(self, structures: Sequence[Atoms | System]) -> list[Prediction]: ...

    def compute(
        self, structures: Atoms | System | Sequence[Atoms | System]
    ) -> Prediction | list[Prediction]:
        """Evaluate one structure, or several in one batch.

        :raises PetDriverError: for unknown elements, impossible geometries, structures without
            atoms, and results that are not finite
        """
        if isinstance(structures, Atoms | System):
            return self.compute([structures])[0]
        systems = _systems(structures)
        for index, system in enumerate(systems):
            if not len(system):
                raise PetDriverError(f"structure {index} has no atoms; give at least one")
        return [
            prediction
            for group in self._groups(systems)
            for prediction in self._compute_batch(group)
        ]

    def _groups(self, systems: list[System]) -> Iterator[list[System]]:
        """What is evaluated at a time: on a CPU no more than fits into its caches."""
        group: list[System] = []
        atoms = 0
        for system in systems:
            atoms += len(system)
            if group and self.device.type == "cpu" and atoms > _MOST_ATOMS_ON_CPU:
                yield group
                group, atoms = [], len(system)
            group.append(system)
        if group:
            yield group

    def _compute_batch(self, systems: list[System]) -> list[Prediction]:
        batch, plan = self._batch(systems)

        def attempt() -> Evaluation:
            return self._evaluate(
                batch.environments, batch.vectors, plan, batch.structure, batch.sizes
            )

        result = self.memory.retried(attempt, lambda: batch.environments.n_centres)
        forces, virials = plan.gather(result.gradient, batch.vectors, batch.edge_centre)
        predictions = []
        ends = np.cumsum(batch.sizes)
        for end, size in zip(ends, batch.sizes, strict=True):
            prediction = Prediction.of(result, forces, virials, slice(end - size, end)).check()
            predictions.append(prediction.with_direct_forces() if self._direct else prediction)
        return predictions

    def open_domain(
        self, comm: MPI.Comm, halo: str = "exchange", skin: float = 0.5
    ) -> ExchangeDomain:
        """One rank's share of a structure that is spread over the ranks of a communicator.
        Collective.

        :param halo: "exchange": ghosts one cutoff deep, ranks swap messages; "wide": ghosts as many
            cutoffs deep as messages come from, ranks repeat each other's work; the scope
            "atom" on several ranks always takes the latter
        :param skin: angstrom, see `Domain`
        :raises PetDriverError: if halo is unknown, or the scope or direct forces need all atoms on
            one rank
        """
        if halo not in HALOS:
            raise PetDriverError(f"halo is {halo!r}; choose one of {', '.join(HALOS)}")
        if self._direct:
            raise PetDriverError(
                "direct forces are for whole structures on one rank; take plain PET there"
            )
        wide = halo == "wide" or (self.scope == "atom" and comm.size > 1)
        if self.scope == "structure" and (wide or comm.size > 1):
            raise PetDriverError(
                f"scope 'structure' needs all atoms on one rank, without a wide halo, and there "
                f"are {comm.size} ranks; run on one or use scope layer"
            )
        if wide:
            return WideDomain(comm, self.cutoff, self.hyper.depth, skin)
        return ExchangeDomain(comm, self.cutoff, skin)

    def compute_domain(self, domain: ExchangeDomain) -> Prediction:
        """Evaluate the atoms of this rank together with all other ranks of the domain's
        communicator.

        Collective. ``energy`` and ``virial`` are those of the whole system, the same on every rank;
        ``energies``, ``forces`` and covariant outputs those of the rank's own atoms.

        :raises PetDriverError: on every rank, if any rank failed
        """
        n_centres = 0

        def attempt() -> Prediction:
            nonlocal n_centres
            n_centres = 0
            with domain.evaluation(self.hyper.swaps):
                environments, vectors, centre = domain.environments(self.device)
                n_centres = environments.n_centres
                one = torch.zeros(n_centres, dtype=torch.long, device=self.device)
                result = self._evaluate(environments, vectors, domain, one, [n_centres])
                forces, virials = domain.gather(result.gradient, vectors, centre)
                found = Prediction.of(result, forces, virials, slice(None))
                found.check(domain.local_ids)
                found.edge_gradients = result.gradient
            return found

        prediction = self.memory.retried(attempt, lambda: domain.largest(n_centres))
        totals = domain.total(np.append(prediction.virial.ravel(), prediction.energy))
        prediction.virial, prediction.energy = totals[:9].reshape(3, 3), float(totals[9])
        return prediction

    def compute_edges(self, plan: ReceptiveHalo) -> tuple[np.ndarray, Tensor]:
        """Evaluate atoms whose edges an engine has listed itself.

        :return: energies of the local atoms, (n_local,), eV, and the gradient of their sum with
            respect to the vectors of the edges that the plan uses, (n_used, 3), eV/angstrom
        :raises PetDriverError: for results that are not finite
        """
        n_centres = plan.environments.n_centres
        one = torch.zeros(n_centres, dtype=torch.long, device=self.device)
        result = self.memory.retried(
            lambda: self._evaluate(plan.environments, plan.vectors, plan, one, [n_centres]),
            lambda: n_centres,
        )
        forces, virials = plan.gather(result.gradient, plan.vectors, plan.dense_centre)
        local = slice(plan.n_roots)
        prediction = Prediction.of(result, forces[local], virials[local], slice(None)).check()
        return prediction.energies, result.gradient

    def plain(self) -> Potential:
        """The same weights, which are shared, without frames: plain PET."""
        other = copy.copy(self)
        other.scope = "none"
        other._evaluator = Evaluator(self._evaluator.network, "none")
        return other

    def direct(self) -> Potential:
        """The same weights, which are shared, as plain PET with the forces that the model reads out
        directly: about twice as fast, and not the gradient of the energy.

        Energy is not conserved with them. They are for the fast part of multiple time stepping. The
        sum of all forces is taken off; the virial is what the model reads out too, or zero.

        :raises PetDriverError: if the model has no such output
        """
        if DIRECT_FORCES not in dict(self.hyper.properties):
            raise PetDriverError(
                f"the model {self.name} has no direct forces (output {DIRECT_FORCES}); take plain "
                "PET for the fast forces"
            )
        other = self.plain()
        other._direct = True
        return other

    def frame_spread(self, structure: Atoms | System) -> np.ndarray:
        """(n_atoms,), eV: standard deviation of each atom's energy over its frames; how far plain
        PET is from being symmetric there.
        """
        batch, plan = self._batch(_systems([structure]))
        variance = self._evaluator.energy_variance(batch.environments, batch.vectors, plan)
        return variance.to(torch.float64).sqrt().cpu().numpy() * self._calibration.energy_scale

    def energy_uncertainty(self, structures: Sequence[Atoms | System]) -> np.ndarray:
        """(n_structures,), eV: standard deviation of the energy by the model's last-layer
        features f, ``|A f|`` with a matrix A that comes with the model (Bigi, Chong, Ceriotti,
        Grasselli, Mach. Learn.: Sci. Technol. 5, 045018 (2024)).

        In the scopes atom and structure the features are those of the plain network.

        :raises PetDriverError: if the model came without
        """
        if self._uncertainty is None:
            raise PetDriverError(
                f"the model {self.name} came without what an uncertainty needs; convert a "
                "checkpoint that metatrain's LLPR has calibrated"
            )
        batch, plan = self._batch(_systems(structures))
        features = self._evaluator.features(
            batch.environments, batch.vectors, plan, self.memory.allowed()
        )
        totals = features.new_zeros(len(batch.sizes), features.shape[1])
        totals.index_add_(0, batch.structure, features)
        return torch.linalg.vector_norm(totals @ self._uncertainty.T, dim=1).cpu().numpy()

    def frames(self, structures: Atoms | Sequence[Atoms]) -> FrameSet:
        """Frames and weights of every environment, (centre, frame) pairs sorted by centre."""
        listed = [structures] if isinstance(structures, Atoms) else structures
        batch, plan = self._batch(_systems(listed))
        near = TruncatedGraph.of(self.hyper, batch.environments, batch.vectors, plan)
        return self._evaluator.frames(near)

    def _batch(self, systems: list[System]) -> tuple[Batch, LocalExchange]:
        """PaddedNeighbors of whole structures, and how their edges hang together."""
        kinds = [species_indices(system.numbers, self.species) for system in systems]
        edges = [self._neighbor_lists.edges(system) for system in systems]
        batch = Batch.from_edges(kinds, edges, self.device)
        batch.environments = self._charge_and_spin.filled(batch.environments, systems)
        return batch, LocalExchange(batch.reverse, len(batch.structure))

    def _evaluate(
        self,
        environments: PaddedNeighbors,
        vectors: Tensor,
        plan: EdgeExchange,
        structure: Tensor,
        sizes: list[int],
    ) -> Evaluation:
        """Energies in eV with the baseline, gradient in eV/angstrom, all in float64."""
        environments = self._charge_and_spin.filled(environments)
        result = self._evaluator.evaluate(
            environments,
            vectors,
            plan,
            structure,
            sizes,
            self.memory.allowed(),
            self.memory.chunk,
            not self._direct,
        )
        return self._calibration.applied(result, environments, vectors, plan.n_roots)


def _systems(structures: Sequence[Atoms | System]) -> list[System]:
    return [x if isinstance(x, System) else System.from_atoms(x) for x in structures]


def load_model(
    name: str | Path,
    device: str = "cpu",
    dtype: str = "float32",
    scope: str | None = None,
    chunk: int | None = None,
    extra_rotations: int = 0,
    parity: bool = False,
    charge: int = 0,
    spin: int = 1,
) -> Potential:
    """
    :param name: name of a shipped model or path of a model file
    :param device: "cpu", "cuda" or "cuda:N"
    :param dtype: "float32" or "float64", of the network; results are accumulated in float64
    :param scope: "layer", "atom", "structure", "none", or None for the scope of training; this and
        the rest as in `Potential`
    :raises PetDriverError: if the model or the device is not there
    """
    return Potential(
        load_checkpoint(name),
        device,
        dtype,
        scope,
        chunk,
        extra_rotations,
        parity,
        charge=charge,
        spin=spin,
    )
