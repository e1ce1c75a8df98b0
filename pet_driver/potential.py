"""The seam: structures in; energy, forces, virial and per-atom energies out. Every engine calls
this and only this.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from .checkpoint import Checkpoint, load_checkpoint
from .devices import choose_device
from .domain import Domain
from .errors import PetDriverError
from .exchange import LocalPlan, SwapPlan, swap_messages
from .model import FrameRows, environment_frames
from .structure import Batch, Environments, System

SCOPES = ("layer", "none")
DTYPES = {"float32": torch.float32, "float64": torch.float64}
# Activations kept for the backward pass are limited to about this many numbers; beyond it they are
# recomputed.
_KEPT_NUMBERS = 400_000_000
_NUMBERS_PER_TOKEN = (
    40  # saved per token, attention layer and feature, measured on the default network
)


@dataclass
class Prediction:
    """Results for one structure, or for the atoms of one rank.

    energy: eV, of the whole system; energies: (n_atoms,), eV; forces: (n_atoms, 3), eV/angstrom;
    virial: (3, 3), -dE/dstrain = sum r (x) f, eV, symmetric, of the whole system.
    """

    energy: float
    energies: np.ndarray
    forces: np.ndarray
    virial: np.ndarray
    vectors: np.ndarray | None = None
    uncertainty: np.ndarray | None = None

    def stress(self, volume: float) -> np.ndarray:
        """(3, 3) eV/angstrom^3, the sign of ASE.

        :param volume: angstrom^3
        """
        return -self.virial / abs(volume)


class Potential:
    """A model ready to evaluate.

    :param scope: what is averaged over frames: "layer" (exact rotational symmetry), "none" (plain
        PET), or None for the scope of training
    :param chunk: most (centre, frame) rows evaluated at a time; None chooses by memory
    :raises PetDriverError: if scope or dtype is unknown or the device is not there
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: str = "cpu",
        dtype: str = "float32",
        scope: str | None = None,
        chunk: int | None = None,
    ) -> None:
        if dtype not in DTYPES:
            raise PetDriverError(f"dtype is {dtype!r}; choose one of {', '.join(DTYPES)}")
        scope = checkpoint.hyper.scope if scope is None else scope
        if scope not in SCOPES:
            raise PetDriverError(f"scope is {scope!r}; choose one of {', '.join(SCOPES)}")
        self.device = choose_device(device)
        self.dtype = dtype
        self.scope = scope
        self.chunk = chunk
        self.name = checkpoint.name
        self.digest = checkpoint.digest
        self.card = checkpoint.card
        self.hyper = checkpoint.hyper
        if scope != checkpoint.hyper.scope:
            warnings.warn(
                f"{self.name} was trained with scope {checkpoint.hyper.scope!r} and runs with "
                f"{scope!r}: "
                "the errors on its model card do not apply",
                stacklevel=3,
            )
        # Frozen weights: only the gradient with respect to the edge vectors is ever computed.
        self._network = checkpoint.network(DTYPES[dtype], self.device).eval().requires_grad_(False)
        self._baseline = torch.tensor(checkpoint.baseline, dtype=torch.float64, device=self.device)
        self._scale = checkpoint.energy_scale

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

        :raises PetDriverError: for unknown elements, impossible geometries, and results that are
            not finite
        """
        if isinstance(structures, Atoms | System):
            return self.compute([structures])[0]
        systems = [x if isinstance(x, System) else System.from_atoms(x) for x in structures]
        if not systems:
            return []
        batch = Batch.from_systems(systems, self.cutoff, self.species, self.device)
        plan = LocalPlan(batch.reverse)
        energies, gradient = self._energies_and_gradient(batch.environments, batch.vectors, plan)
        forces = _forces(gradient, plan, batch.edge_centre, energies.shape[0])
        edge_structure = batch.structure[batch.edge_centre]
        virials = _virials(gradient, batch.vectors, edge_structure, len(systems))
        predictions = []
        splits = (x.cpu().numpy() for x in (energies, forces))
        energies_list, forces_list = (np.split(x, np.cumsum(batch.sizes)[:-1]) for x in splits)
        for e, f, v in zip(energies_list, forces_list, virials.cpu().numpy(), strict=True):
            predictions.append(_checked(Prediction(float(e.sum()), e, f, v)))
        return predictions

    def compute_domain(self, domain: Domain) -> Prediction:
        """Evaluate the atoms of this rank together with all other ranks of the domain's
        communicator.

        Collective. ``energy`` and ``virial`` are those of the whole system, the same on every rank;
        ``energies`` and ``forces`` those of the rank's own atoms.

        :raises PetDriverError: on every rank, if any rank failed
        """
        environments, vectors, centre, plan = domain.environments(self.device)
        energies, gradient = self._energies_and_gradient(environments, vectors, plan)
        forces = _forces(gradient, plan, centre, environments.n_centres)
        virial = _virials(gradient, vectors, torch.zeros_like(centre), 1)[0]
        totals = domain.total(np.append(virial.cpu().numpy().ravel(), float(energies.sum())))
        prediction = Prediction(
            float(totals[9]), energies.cpu().numpy(), forces.cpu().numpy(), totals[:9].reshape(3, 3)
        )
        with domain.agreement():
            return _checked(prediction)

    def frames(self, structures: Atoms | Sequence[Atoms]) -> FrameRows:
        """Frames and weights of every environment, (centre, frame) pairs sorted by centre."""
        listed = [structures] if isinstance(structures, Atoms) else structures
        systems = [System.from_atoms(atoms) for atoms in listed]
        batch = Batch.from_systems(systems, self.cutoff, self.species, self.device)
        return self._frames(batch.environments, batch.vectors)

    def _frames(self, environments: Environments, vectors: Tensor) -> FrameRows:
        return environment_frames(
            environments.pad(vectors), environments.valid, self.cutoff, self.hyper.frames
        )

    def _energies_and_gradient(
        self, environments: Environments, vectors: Tensor, plan: SwapPlan
    ) -> tuple[Tensor, Tensor]:
        """Per-atom energies (n_centres,) in eV and dE/dvectors (n_edges, 3) in eV/angstrom,
        float64.

        Out of memory on a GPU, the chunk is halved and the evaluation repeated.
        """
        vectors = vectors.detach().requires_grad_(True)
        while True:
            try:
                return self._evaluate(environments, vectors, plan)
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

    def _evaluate(
        self, environments: Environments, vectors: Tensor, plan: SwapPlan
    ) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            rows = self._frames(environments, vectors) if self.scope == "layer" else None
            output = self._network(
                environments.neighborhoods(vectors),
                rows,
                swap_messages(environments, plan),
                self.chunk or self._default_chunk(environments.n_neighbors),
            )
            raw = output.energies
            (gradient,) = torch.autograd.grad(raw.sum(), vectors, allow_unused=True)
        gradient = torch.zeros_like(vectors) if gradient is None else gradient
        energies = (
            raw.detach().to(torch.float64) * self._scale
            + self._baseline[environments.centre_species]
        )
        return energies, gradient * self._scale

    def _default_chunk(self, n_neighbors: int) -> int:
        per_row = _NUMBERS_PER_TOKEN * (n_neighbors + 1) * self.hyper.width
        layers = self.hyper.attention_layers * self.hyper.message_layers
        return max(_KEPT_NUMBERS // (per_row * layers), 16)


def load_model(
    name: str | Path,
    device: str = "cpu",
    dtype: str = "float32",
    scope: str | None = None,
    chunk: int | None = None,
) -> Potential:
    """
    :param name: name of a shipped model or path of a model file
    :param device: "cpu", "cuda" or "cuda:N"
    :param dtype: "float32" or "float64", of the network; results are accumulated in float64
    :param scope: "layer", "none", or None for the scope of training
    :raises PetDriverError: if the model or the device is not there
    """
    return Potential(load_checkpoint(name), device, dtype, scope, chunk)


def _forces(gradient: Tensor, plan: SwapPlan, centre: Tensor, n_centres: int) -> Tensor:
    """F_i = sum_j (dE/dr_ij - dE/dr_ji) with r_ij = r_j - r_i, (n_centres, 3)."""
    difference = gradient - plan.swap(gradient)
    return gradient.new_zeros(n_centres, 3).index_add(0, centre, difference)


def _virials(gradient: Tensor, vectors: Tensor, structure: Tensor, count: int) -> Tensor:
    """-dE/dstrain = -sum r_ij (x) dE/dr_ij, (count, 3, 3).

    Symmetrized: for plain PET the antisymmetric part is the spurious torque on the box, for an
    exact model it vanishes.
    """
    outer = -vectors.detach()[:, :, None] * gradient[:, None, :]
    virials = gradient.new_zeros(count, 3, 3).index_add(0, structure, outer)
    return 0.5 * (virials + virials.transpose(1, 2))


def _checked(prediction: Prediction) -> Prediction:
    finite = np.isfinite(prediction.energies) & np.isfinite(prediction.forces).all(axis=1)
    if not finite.all():
        raise PetDriverError(
            f"the result for atom {int(np.argmin(finite))} (counted from 0) is not finite; "
            "look at the geometry around it, the structure is far outside of what the model was "
            "trained for"
        )
    return prediction
