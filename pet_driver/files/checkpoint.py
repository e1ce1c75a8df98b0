"""Model files: one ``.safetensors`` with the weights, and everything else as JSON in its metadata.
No pickle.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import PetDriverError
from ..model import PET, Hyperparameters

FORMAT = "pet-driver"
FORMAT_VERSION = 1
SHIPPED = Path(__file__).parent.parent / "models"
_UNCERTAINTY = "uncertainty.factor"
_UNITS = {"energy": "eV", "length": "angstrom"}


@dataclass
class Checkpoint:
    """A model at rest.

    weights: tensors of the network; baseline: energy of each species, eV, in the order of
    ``hyper.species``; energy_scale: eV per unit of the network's output; card: what a person should
    know (data, splits, errors); property_scales, property_units: what one unit of the network's
    covariant outputs is, by name: one number, or one for each species; uncertainty: (n_features,
    n_features), eV, see `Potential.energy_uncertainty`; None: not known.
    """

    hyper: Hyperparameters
    weights: dict[str, Tensor]
    baseline: list[float]
    energy_scale: float
    card: dict = field(default_factory=dict)
    name: str = "model"
    digest: str = ""
    property_scales: dict[str, float | list[float]] = field(default_factory=dict)
    property_units: dict[str, str] = field(default_factory=dict)
    uncertainty: Tensor | None = None

    def network(self, dtype: torch.dtype, device: torch.device) -> PET:
        """The network with these weights."""
        # In its precision from the start: weights of a converted model may be float64.
        network = PET(self.hyper).to(dtype)
        try:
            network.load_state_dict(self.weights)
        except RuntimeError as error:
            raise PetDriverError(
                f"the weights of {self.name} do not fit its hyperparameters "
                f"({' '.join(str(error).split())}); get the file anew"
            ) from error
        return network.to(device)


def random_checkpoint(hyper: Hyperparameters, seed: int = 0) -> Checkpoint:
    """A network with random weights: where errors of symmetry and smoothness show most."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = PET(hyper)
    return Checkpoint(hyper, network.state_dict(), [0.0] * len(hyper.species), 1.0, name="random")


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a model file, whole or not at all."""
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "hyperparameters": json.dumps(checkpoint.hyper.to_dict()),
        "baseline": json.dumps(checkpoint.baseline),
        "energy_scale": json.dumps(checkpoint.energy_scale),
        "units": json.dumps(_UNITS),
        "card": json.dumps(checkpoint.card),
        "property_scales": json.dumps(checkpoint.property_scales),
        "property_units": json.dumps(checkpoint.property_units),
    }
    tensors = dict(checkpoint.weights)
    if checkpoint.uncertainty is not None:
        tensors[_UNCERTAINTY] = checkpoint.uncertainty
    tensors = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    save_file(tensors, partial, metadata=metadata)
    partial.replace(path)


def load_checkpoint(name: str | Path) -> Checkpoint:
    """
    :param name: name of a shipped model or path of a model file
    :raises PetDriverError: if there is no such file, or it is not a model file of this package
    """
    path = find_model(name)
    if path.suffix == ".ckpt":
        raise PetDriverError(
            f"{path} is a checkpoint of another program; make a model of it first: `pet-driver "
            f"convert {path.name}`"
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise PetDriverError(
            f"{path} is not a readable .safetensors file ({error}); expected a model written by "
            "pet-driver"
        ) from error
    if metadata.get("format") != FORMAT:
        raise PetDriverError(
            f"{path} is a .safetensors file but not a pet-driver model; expected one written by "
            "`pet-driver train`"
        )
    try:
        version = int(metadata["format_version"])
        if version > FORMAT_VERSION:
            raise PetDriverError(
                f"{path} has format version {version}, this pet-driver reads up to "
                f"{FORMAT_VERSION}; upgrade pet-driver"
            )
        uncertainty = weights.pop(_UNCERTAINTY, None)
        return Checkpoint(
            hyper=Hyperparameters.from_dict(json.loads(metadata["hyperparameters"])),
            weights=weights,
            baseline=json.loads(metadata["baseline"]),
            energy_scale=json.loads(metadata["energy_scale"]),
            card=json.loads(metadata["card"]),
            name=path.stem,
            property_scales=json.loads(metadata.get("property_scales", "{}")),
            property_units=json.loads(metadata.get("property_units", "{}")),
            digest=hashlib.sha256(path.read_bytes()).hexdigest(),
            uncertainty=uncertainty,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise PetDriverError(
            f"the header of {path} cannot be understood ({type(error).__name__}: {error}); "
            "get the file anew, or upgrade pet-driver"
        ) from error


def find_model(name: str | Path) -> Path:
    """Path of a shipped model or of a file.

    :raises PetDriverError: if neither exists
    """
    path = Path(name)
    if path.is_file():
        return path
    shipped = SHIPPED / f"{name}.safetensors"
    if path.name == str(name) and shipped.is_file():
        return shipped
    names = ", ".join(shipped_models()) or "none"
    raise PetDriverError(
        f"there is no model {str(name)!r}; give the path of a model file or a shipped name "
        f"({names})"
    )


def shipped_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors"))
