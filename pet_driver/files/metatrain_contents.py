"""What a checkpoint of metatrain's PET consists of."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import PetDriverError
from ..evaluation.prediction import DIRECT_FORCES, DIRECT_VIRIAL
from .pickled import Record
from .upgrades import NEWEST, merged_adapters, upgraded

_LENGTH_UNITS = ("angstrom", "Angstrom", "A", "")
_NAMES = {
    "non_conservative_force": DIRECT_FORCES,
    "non_conservative_stress": DIRECT_VIRIAL,
}


@dataclass
class Contents:
    """What a model consists of; options and weights as in the newest version; llpr: what its
    last-layer uncertainties are made of."""

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
        return [z for z, row in enumerate(self._rows.tolist()) if row >= 0]

    @property
    def rows(self) -> Tensor:
        """Of each species, its row in tables of species."""
        return self._rows[self.species]

    def last_layers(self, side: str, target: str, readout: int) -> Iterator[tuple[str, Tensor]]:
        """Names and weights of the last layers of a head of nodes or edges."""
        start = f"{side}_last_layers.{target}.{readout}."
        return (item for item in self.weights.items() if item[0].startswith(start))

    @property
    def _rows(self) -> Tensor:
        return self.weights["species_to_species_index"]


def read_contents(path: Path, content: Any) -> Contents:  # noqa: ANN401
    """Checked for what it is."""
    architecture = content.get("architecture_name") if isinstance(content, dict) else None
    if architecture == "llpr":
        inner = read_contents(path, content.get("wrapped_model_checkpoint"))
        state = content.get("best_model_state_dict") or content.get("model_state_dict")
        # Until its version 3 metatrain's LLPR called it otherwise.
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
            "pet-driver, or have an older metatrain write it"
        )
    state = content.get("best_model_state_dict") or content.get("model_state_dict")
    data = content.get("model_data")
    info = data.get("dataset_info") if isinstance(data, dict) else None
    hypers = data.get("model_hypers") if isinstance(data, dict) else None
    targets = info.get("targets") if isinstance(info, Record) else None
    if not isinstance(state, dict) or not isinstance(hypers, dict) or not isinstance(targets, dict):
        raise PetDriverError(
            f"{path} has no weights or does not say what they are for; get the file anew"
        )
    latest = content.get("model_state_dict") or {}
    tuned = state.get("finetune_config") or latest.get("finetune_config") or {}
    try:
        hypers, weights = upgraded(version, hypers, state)
        weights = merged_adapters(weights, tuned)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise PetDriverError(
            f"{path} says it is a PET of metatrain, version {version}, but something in it is "
            f"missing or odd ({type(error).__name__}: {error}); get the file anew"
        ) from error
    contents = Contents(
        path,
        version,
        hypers,
        weights,
        targets,
        _metadata(content.get("metadata")),
    )
    _refuse_what_we_lack(contents, info.get("length_unit", ""))
    return contents


def _metadata(record: Any) -> dict[str, Any]:  # noqa: ANN401
    """What the authors say of a model; saved as a JSON text inside of a foreign object."""
    state = record.state if isinstance(record, Record) else None
    text = state[0] if isinstance(state, tuple) and state else None
    if not isinstance(text, str):
        return {}
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return {}


def _refuse_what_we_lack(contents: Contents, length_unit: str) -> None:
    if (contents.hypers.get("long_range") or {}).get("enable"):
        raise PetDriverError(
            f"{contents.path} has a long-range part, which PET Driver lacks; train a model without"
        )
    if length_unit not in _LENGTH_UNITS:
        raise PetDriverError(
            f"{contents.path} measures lengths in {length_unit!r}; only models in angstrom can be "
            "converted"
        )


def output_name(target: str) -> str:
    """Our name. What metatrain calls a stress is divided by the volume at the end: its heads say
    the negative virial. (Not where it belongs to a variant: then they say the stress.)"""
    base, _, variant = target.partition("/")
    name = base.removeprefix("mtt::")
    if variant and name == "non_conservative_stress":
        return name
    return _NAMES.get(name, name)
