"""A model on its device: frozen weights, units, and the description in the model file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import PetDriverError
from ..files.checkpoint import Checkpoint
from ..files.output_names import DIRECT_FORCES
from ..model import PET
from ..runtime.devices import keep_freed_memory
from .rescaling import Rescaling

DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class LoadedModel:
    """A model that several potentials may share.

    description: the model file without its weights; network: on the device, with frozen weights;
    rescaling: from its units to eV; uncertainty_factor: (n_features, n_features), eV, the matrix of
    `Potential.energy_uncertainty`, None: the model has none; device, dtype: of the network.
    """

    description: Checkpoint
    network: PET
    rescaling: Rescaling
    uncertainty_factor: Tensor | None
    device: torch.device
    dtype: str

    @classmethod
    def load(cls, checkpoint: Checkpoint, device: torch.device, dtype: str) -> LoadedModel:
        """Put the weights of a model file on a device.

        :param dtype: "float32" or "float64"
        :raises PetDriverError: if the weights do not fit the hyperparameters
        """
        keep_freed_memory()
        with torch.inference_mode(False):  # as gradients will pass through, wherever this is called
            # Frozen weights: only the gradient with respect to the edge vectors is ever computed.
            network = checkpoint.network(DTYPES[dtype], device).eval().requires_grad_(False)
            uncertainty = checkpoint.uncertainty
            if uncertainty is not None:
                uncertainty = uncertainty.to(device, torch.float64)
            rescaling = Rescaling(checkpoint, device)
        description = dataclasses.replace(checkpoint, weights={}, uncertainty=None)
        return cls(description, network, rescaling, uncertainty, device, dtype)

    def check_placement(self, device: torch.device, dtype: str) -> None:
        """Check that the network is where, and as precise as, a potential needs it.

        :raises PetDriverError: if device or dtype is another
        """
        if (device, dtype) != (self.device, self.dtype):
            raise PetDriverError(
                f"the model {self.description.name} is loaded in {self.dtype} on {self.device}, "
                f"but {dtype} on {device} was asked for; load the model file again"
            )

    def energy_deviation(self, features: Tensor) -> Tensor:
        """Standard deviations of energies, (n_structures,), eV; see `Potential.energy_uncertainty`.

        :param features: (n_structures, n_features), float64, sums over atoms
        """
        assert self.uncertainty_factor is not None  # as `check_uncertainty` has found
        deviation: Tensor = torch.linalg.vector_norm(features @ self.uncertainty_factor.T, dim=1)
        return deviation

    def check_uncertainty(self) -> None:
        """Check that the model has what `energy_deviation` needs.

        :raises PetDriverError: if not
        """
        if self.uncertainty_factor is None:
            raise PetDriverError(
                f"the model {self.description.name} has no data for uncertainties; convert a "
                "checkpoint that metatrain's LLPR has calibrated"
            )

    def check_direct_forces(self, scope: str) -> None:
        """Check that forces can be read out directly in a scope.

        :raises PetDriverError: if the model has no such output, or the scope is not plain PET
        """
        name, hyper = self.description.name, self.description.hyper
        if DIRECT_FORCES not in dict(hyper.properties):
            raise PetDriverError(
                f"the model {name} has no direct forces (output {DIRECT_FORCES}); use plain "
                "PET for the fast forces"
            )
        if scope != "none":
            raise PetDriverError(
                f"scope is {scope!r}, but direct forces are those of plain PET; give scope none"
            )
