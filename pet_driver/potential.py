"""The seam: structures in; energy, forces, virial and per-atom energies out. Every engine calls
this and only this.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from .checkpoint import Checkpoint, load_checkpoint
from .devices import choose_device, free_memory
from .domain import Domain
from .errors import PetDriverError
from .evaluation import SCOPES, Evaluation, Evaluator, scope_advice
from .exchange import LocalPlan, SwapPlan
from .model import FrameRows
from .prediction import Prediction, forces_from, virials_from
from .structure import Batch, Environments, System

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
        self.chunk = chunk
        self.memory_share = memory_share
        self.name = checkpoint.name
        self.digest = checkpoint.digest
        self.card = checkpoint.card
        self.hyper = checkpoint.hyper
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
        self._baseline = torch.tensor(checkpoint.baseline, dtype=torch.float64, device=self.device)
        self._scale = checkpoint.energy_scale
        self.property_units = checkpoint.property_units
        self._property_scales = checkpoint.property_scales

    @property
    def cutoff(self) -> float:
        """Distance up to which atoms see each other within one layer, angstrom."""
        return self.hyper.cutoff

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
        systems = [x if isinstance(x, System) else System.from_atoms(x) for x in structures]
        if not systems:
            return []
        for index, system in enumerate(systems):
            if not len(system):
                raise PetDriverError(f"structure {index} has no atoms; give at least one")
        batch = Batch.from_systems(systems, self.cutoff, self.species, self.device)
        plan = LocalPlan(batch.reverse)
        result = self._evaluate(
            batch.environments, batch.vectors, plan, batch.structure, batch.sizes
        )
        forces = forces_from(result.gradient, plan, batch.edge_centre, len(batch.structure))
        edge_structure = batch.structure[batch.edge_centre]
        virials = virials_from(result.gradient, batch.vectors, edge_structure, len(systems))
        predictions = []
        ends = np.cumsum(batch.sizes)
        for end, size, virial in zip(ends, batch.sizes, virials.cpu().numpy(), strict=True):
            part = slice(end - size, end)
            energies = result.energies[part].cpu().numpy()
            found = {name: x[part].cpu().numpy() for name, x in result.properties.items()}
            predictions.append(
                _prediction(
                    float(energies.sum()), energies, forces[part].cpu().numpy(), virial, found
                ).check()
            )
        return predictions

    def compute_domain(self, domain: Domain) -> Prediction:
        """Evaluate the atoms of this rank together with all other ranks of the domain's
        communicator.

        Collective. ``energy`` and ``virial`` are those of the whole system, the same on every rank;
        ``energies``, ``forces`` and covariant outputs those of the rank's own atoms.

        :raises PetDriverError: on every rank, if any rank failed
        """
        environments, vectors, centre, plan = domain.environments(self.device)
        one = torch.zeros(environments.n_centres, dtype=torch.long, device=self.device)
        result = self._evaluate(environments, vectors, plan, one, [environments.n_centres])
        forces = forces_from(result.gradient, plan, centre, environments.n_centres)
        virial = virials_from(result.gradient, vectors, torch.zeros_like(centre), 1)[0]
        totals = domain.total(np.append(virial.cpu().numpy().ravel(), float(result.energies.sum())))
        prediction = _prediction(
            float(totals[9]),
            result.energies.cpu().numpy(),
            forces.cpu().numpy(),
            totals[:9].reshape(3, 3),
            {name: x.cpu().numpy() for name, x in result.properties.items()},
        )
        with domain.agreement():
            return prediction.check()

    def frames(self, structures: Atoms | Sequence[Atoms]) -> FrameRows:
        """Frames and weights of every environment, (centre, frame) pairs sorted by centre."""
        listed = [structures] if isinstance(structures, Atoms) else structures
        systems = [System.from_atoms(atoms) for atoms in listed]
        batch = Batch.from_systems(systems, self.cutoff, self.species, self.device)
        return self._evaluator.frames(batch.environments, batch.vectors)

    def _evaluate(
        self,
        environments: Environments,
        vectors: Tensor,
        plan: SwapPlan,
        structure: Tensor,
        sizes: list[int],
    ) -> Evaluation:
        """Energies in eV with the baseline, gradient in eV/angstrom, all in float64.

        Out of memory on a GPU, the chunk is halved and the evaluation repeated.
        """
        while True:
            memory = int(self.memory_share * free_memory(self.device))
            try:
                result = self._evaluator.evaluate(
                    environments, vectors, plan, structure, sizes, memory, self.chunk
                )
                break
            except torch.OutOfMemoryError:
                rows = self.chunk or environments.n_centres
                if rows <= 16:
                    raise
                self.chunk = rows // 2
                torch.cuda.empty_cache()
                warnings.warn(
                    f"out of memory on {self.device}: going on with chunks of {self.chunk}",
                    stacklevel=2,
                )
        baseline = self._baseline[environments.centre_species]
        properties = {
            name: x.to(torch.float64) * self._property_scales.get(name, 1.0)
            for name, x in result.properties.items()
        }
        return Evaluation(
            result.energies.to(torch.float64) * self._scale + baseline,
            properties,
            result.gradient * self._scale,
        )


def load_model(
    name: str | Path,
    device: str = "cpu",
    dtype: str = "float32",
    scope: str | None = None,
    chunk: int | None = None,
    extra_rotations: int = 0,
    parity: bool = False,
) -> Potential:
    """
    :param name: name of a shipped model or path of a model file
    :param device: "cpu", "cuda" or "cuda:N"
    :param dtype: "float32" or "float64", of the network; results are accumulated in float64
    :param scope: "layer", "atom", "structure", "none", or None for the scope of training; this and
        the rest as in `Potential`
    :raises PetDriverError: if the model or the device is not there
    """
    return Potential(load_checkpoint(name), device, dtype, scope, chunk, extra_rotations, parity)


def _prediction(
    energy: float,
    energies: np.ndarray,
    forces: np.ndarray,
    virial: np.ndarray,
    found: dict[str, np.ndarray],
) -> Prediction:
    """With covariant outputs sorted by rank."""
    vectors = {name: x for name, x in found.items() if x.ndim == 2}
    tensors = {name: x for name, x in found.items() if x.ndim == 3}
    return Prediction(energy, energies, forces, virial, vectors, tensors)
