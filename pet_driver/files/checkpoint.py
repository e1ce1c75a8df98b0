"""Model files: one ``.safetensors`` file with the weights, and all else as JSON in its metadata.

No pickle, so opening a model file cannot run code. A file of every format version that was ever
released stays in the tests and can be read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..errors import PetDriverError
from ..model import PET, Hyperparameters

FORMAT = "pet-driver"
FORMAT_VERSION = 1
SHIPPED = Path(__file__).parent.parent / "models"
_UNCERTAINTY = "uncertainty.factor"
_HEADS = "property_heads."  # of covariant outputs, among the names of weights
_UNITS = {"energy": "eV", "length": "angstrom"}


@dataclass
class Checkpoint:
    """A model as it is stored: hyperparameters, weights, units of its outputs, and its card.

    ``hyper``: hyperparameters of the network. ``weights``: its tensors by name. ``baseline``:
    energy of an isolated atom of each species, eV, in the order of ``hyper.species``.
    ``energy_scale``: eV per unit of the network's output. ``card``: what a user should know (data,
    splits, level of theory, errors). ``name``: of the file, without its ending. ``digest``: SHA-256
    of the file it was read from. ``property_scales``, ``property_units``: by name of a covariant
    output, the value of one unit of the network's output (one number, or one per species) and its
    physical unit.
    ``uncertainty``: (n_features, n_features), eV, the matrix of `Potential.energy_uncertainty`;
    None where the model has no uncertainties.
    """

    hyper: Hyperparameters
    weights: dict[str, Tensor]
    baseline: list[float]
    energy_scale: float
    card: dict[str, Any] = field(default_factory=dict)
    name: str = "model"
    digest: str = ""
    property_scales: dict[str, float | list[float]] = field(default_factory=dict)
    property_units: dict[str, str] = field(default_factory=dict)
    uncertainty: Tensor | None = None

    def network(self, dtype: torch.dtype, device: torch.device) -> PET:
        """Network with these weights.

        :raises PetDriverError: if the weights do not fit the hyperparameters
        """
        # In the final precision from the start: weights of a converted model may be float64.
        network = PET(self.hyper).to(dtype)
        try:
            network.load_state_dict(self.weights)
        except RuntimeError as error:
            raise PetDriverError(
                f"the weights of {self.name} do not fit its hyperparameters "
                f"({' '.join(str(error).split())}); get the file anew"
            ) from error
        return network.to(device)

    def with_outputs(self, names: Collection[str]) -> Checkpoint:
        """The same model with these of its covariant outputs only; energies stay as they are."""
        lost = [name for name, _ in self.hyper.properties if name not in names]
        heads = tuple(f"{_HEADS}{name}." for name in lost)
        kept = tuple(x for x in self.hyper.properties if x[0] not in lost)
        return dataclasses.replace(
            self,
            hyper=dataclasses.replace(self.hyper, properties=kept),
            weights={k: x for k, x in self.weights.items() if not k.startswith(heads)},
            property_scales={k: x for k, x in self.property_scales.items() if k not in lost},
            property_units={k: x for k, x in self.property_units.items() if k not in lost},
        )


def random_checkpoint(hyper: Hyperparameters, seed: int = 0) -> Checkpoint:
    """Checkpoint with random weights, which show errors of symmetry and smoothness most clearly.

    Energies of isolated atoms are 0 and the energy scale is 1 eV. The random state of torch is left
    as it was.

    >>> from pet_driver.model import Hyperparameters
    >>> checkpoint = random_checkpoint(Hyperparameters(species=(1, 8), width=16, heads=2), seed=1)
    >>> checkpoint.name, checkpoint.baseline
    ('random', [0.0, 0.0])
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = PET(hyper)
    return Checkpoint(hyper, network.state_dict(), [0.0] * len(hyper.species), 1.0, name="random")


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a model file; it appears under its name only once it is complete.

    Folders that are missing on the way to ``path`` are made.
    """
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
    # safetensors' own files are readable by their owner only.
    partial.write_bytes(save(tensors, metadata=metadata))
    partial.replace(path)


def load_checkpoint(name: str | Path) -> Checkpoint:
    """Read a model file.

    :param name: name of a shipped model, or path of a model file
    :raises PetDriverError: if there is no such file, it is not a model file of this package, it is
        damaged, or its format is newer than this package

    >>> water = load_checkpoint("water")
    >>> water.hyper.species
    (1, 8)
    >>> f"trained with scope {water.hyper.scope!r}, cutoff {water.hyper.cutoff} angstrom"
    "trained with scope 'layer', cutoff 4.25 angstrom"
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
        return _assembled(path, metadata, weights)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise PetDriverError(
            f"the header of {path} cannot be understood ({type(error).__name__}: {error}); "
            "get the file anew, or upgrade pet-driver"
        ) from error


def _assembled(path: Path, metadata: dict[str, str], weights: dict[str, Tensor]) -> Checkpoint:
    """Checkpoint from the metadata and tensors of a model file."""
    version = int(metadata["format_version"])
    if version > FORMAT_VERSION:
        raise PetDriverError(
            f"{path} has format version {version}, this pet-driver reads up to "
            f"{FORMAT_VERSION}; upgrade pet-driver"
        )
    uncertainty = weights.pop(_UNCERTAINTY, None)
    hyper = Hyperparameters.from_dict(_table(metadata["hyperparameters"]))
    baseline = [float(energy) for energy in json.loads(metadata["baseline"])]
    if len(baseline) != len(hyper.species):
        raise ValueError(f"{len(baseline)} energies of {len(hyper.species)} isolated atoms")
    return Checkpoint(
        hyper=hyper,
        weights=weights,
        baseline=baseline,
        energy_scale=float(json.loads(metadata["energy_scale"])),
        card=_table(metadata["card"]),
        name=path.stem,
        property_scales=_table(metadata.get("property_scales", "{}")),
        property_units=_table(metadata.get("property_units", "{}")),
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        uncertainty=uncertainty,
    )


def _table(text: str) -> dict[str, Any]:
    """Content of a part of the header that has names and values."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise TypeError(f"{text[:20]!r} where a table was expected")
    return found


def find_model(name: str | Path) -> Path:
    """Path of a model file.

    :param name: path of a file, or name of a shipped model; a file comes first
    :raises PetDriverError: if there is neither

    >>> find_model("water").name
    'water.safetensors'
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
    """Names of the models that come with the package, in alphabetical order.

    >>> shipped_models()
    ['dipeptides', 'silicon', 'water', 'water_plain']
    """
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors"))
