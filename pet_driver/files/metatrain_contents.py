"""Contents of metatrain's PET checkpoints: options, weights, targets and metadata."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import PetDriverError
from .output_names import DIRECT_FORCES, DIRECT_VIRIAL
from .pickled import Record
from .upgrades import NEWEST, merged_adapters, upgraded

_LENGTH_UNITS = ("angstrom", "Angstrom", "A", "")
_NAMES = {
    "non_conservative_force": DIRECT_FORCES,
    "non_conservative_stress": DIRECT_VIRIAL,
}


@dataclass
class Contents:
    """A checkpoint in the layout of metatrain's newest version.

    ``version``: of the layout in the file. ``hypers``: metatrain's options of the model.
    ``weights``: tensors by metatrain's names. ``targets``: description of each output. ``llpr``:
    tensors of the last-layer uncertainties, empty without them.
    """

    path: Path
    version: int
    hypers: dict[str, Any]
    weights: dict[str, Tensor]
    targets: dict[str, Record]
    metadata: dict[str, Any]
    llpr: dict[str, Tensor] = field(default_factory=dict)

    @property
    def species(self) -> list[int]:
        """Atomic numbers, ascending."""
        return [z for z, row in enumerate(self._row_of_number.tolist()) if row >= 0]

    @property
    def rows(self) -> Tensor:
        """Row of each species in the tables of embeddings, (n_species,)."""
        return self._row_of_number[self.species]

    def last_layers(self, side: str, target: str, readout: int) -> Iterator[tuple[str, Tensor]]:
        """Names and weights of the last layers of a head.

        :param side: "node" or "edge"
        :param target: name of the output
        :param readout: index of the readout layer
        """
        start = f"{side}_last_layers.{target}.{readout}."
        return (item for item in self.weights.items() if item[0].startswith(start))

    @property
    def _row_of_number(self) -> Tensor:
        """Row of each atomic number in the tables, (n_numbers,); -1 where it is not known."""
        return self.weights["species_to_species_index"]


def read_contents(path: Path, content: Any) -> Contents:  # noqa: ANN401
    """Check the content of a checkpoint and bring it to the newest layout.

    :param path: of the checkpoint, for messages
    :param content: what `read_pickled` found in it
    :raises PetDriverError: if it is not a PET of metatrain, is incomplete, or needs what pet-driver
        lacks
    """
    architecture = content.get("architecture_name") if isinstance(content, dict) else None
    if architecture == "llpr":
        inner = read_contents(path, content.get("wrapped_model_checkpoint"))
        state = content.get("best_model_state_dict") or content.get("model_state_dict")
        # Before its version 3 metatrain's LLPR used another key.
        return dataclasses.replace(inner, llpr=state or content.get("state_dict") or {})
    if architecture is None:
        raise PetDriverError(
            f"{path} was written by torch, but not by metatrain; give a .ckpt file of `mtt train`"
        )
    if architecture != "pet":
        raise PetDriverError(
            f"{path} is a model of the architecture {architecture!r}; only PET can be converted"
        )
    version = content.get("model_ckpt_version", 1)
    if not isinstance(version, int) or not 1 <= version <= NEWEST:
        raise PetDriverError(
            f"{path} is a PET of version {version!r}, this pet-driver reads 1 to {NEWEST}; upgrade "
            "pet-driver, or write the file with an older metatrain"
        )
    state, hypers, info, targets = _parts(path, content)
    latest = content.get("model_state_dict") or {}
    tuned = state.get("finetune_config") or latest.get("finetune_config") or {}
    try:
        hypers, weights = upgraded(version, hypers, state)
        weights = merged_adapters(weights, tuned)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise PetDriverError(
            f"{path} is labelled as a PET of metatrain, version {version}, but part of it is "
            f"missing or invalid ({type(error).__name__}: {error}); get the file anew"
        ) from error
    metadata = _metadata(content.get("metadata"))
    contents = Contents(path, version, hypers, weights, targets, metadata)
    _refuse_what_we_lack(contents, info.get("length_unit", ""))
    return contents


def _parts(
    path: Path, content: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], Record, dict[str, Record]]:
    """State of the model, its options, the description of its data set, and that of its targets."""
    state = content.get("best_model_state_dict") or content.get("model_state_dict")
    data = content.get("model_data")
    hypers = data.get("model_hypers") if isinstance(data, dict) else None
    info = data.get("dataset_info") if isinstance(data, dict) else None
    if isinstance(state, dict) and isinstance(hypers, dict) and isinstance(info, Record):
        targets = info.get("targets")
        if isinstance(targets, dict):
            return state, hypers, info, targets
    raise PetDriverError(
        f"{path} has no weights or no description of its outputs; get the file anew"
    )


def _metadata(record: Any) -> dict[str, Any]:  # noqa: ANN401
    """Description by the authors of the model, which metatrain saves as a JSON text."""
    state = record.state if isinstance(record, Record) else None
    text = state[0] if isinstance(state, tuple) and state else None
    if not isinstance(text, str):
        return {}
    try:
        metadata = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _refuse_what_we_lack(contents: Contents, length_unit: str) -> None:
    """Raise an error where the model cannot be evaluated here."""
    if (contents.hypers.get("long_range") or {}).get("enable"):
        raise PetDriverError(
            f"{contents.path} has a long-range part, which pet-driver lacks; train a model without"
        )
    if length_unit not in _LENGTH_UNITS:
        raise PetDriverError(
            f"{contents.path} measures lengths in {length_unit!r}; only models in angstrom can be "
            "converted"
        )


def output_name(target: str) -> str:
    """Our name of a target.

    Metatrain divides by the volume to get what it calls a stress, so the heads predict the negative
    virial, and the output is named accordingly. A stress that belongs to a variant is predicted as
    a stress, and keeps its name.

    >>> output_name("mtt::dipole")
    'dipole'
    >>> output_name("non_conservative_stress"), output_name("non_conservative_stress/pbe")
    ('non_conservative_virial', 'non_conservative_stress')
    """
    base, _, variant = target.partition("/")
    name = base.removeprefix("mtt::")
    if variant and name == "non_conservative_stress":
        return name
    return _NAMES.get(name, name)
