"""Conversion of metatrain's PET checkpoints.

metatrain need not be installed. Its PET is defined in metatrain's pet/model.py and
pet/modules/backend.py (https://github.com/metatensor/metatrain).
"""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

from ase.data import covalent_radii

from ..errors import PetDriverError
from ..model import RESERVED_NAMES, ForeignHyperparameters, Hyperparameters
from .checkpoint import Checkpoint
from .metatrain_contents import Contents, output_name, read_contents
from .metatrain_weights import (
    ENERGY_UNITS,
    baseline,
    converted_weights,
    energy_scale,
    scales,
    uncertainty,
)
from .output_names import DIRECT_UNITS

_NORMALIZATIONS = {"RMSNorm": "rms", "LayerNorm": "layer"}
# Targets that become covariant outputs, by the number of components of a Cartesian tensor.
_RANKS = {3: 1, 9: 2}


def convert_metatrain(path: Path, content: Any, variant: str | None) -> Checkpoint:  # noqa: ANN401
    """Convert a checkpoint of metatrain's PET, also one with last-layer uncertainties (LLPR).

    :param path: of the checkpoint, for messages and the model's card
    :param content: what `read_pickled` found in it
    :param variant: see `convert`
    :raises PetDriverError: if the architecture is another one, something is missing, or the model
        needs what pet-driver lacks
    """
    contents = read_contents(path, content)
    try:
        energy = _chosen_energy(contents, variant)
        outputs = _covariant_outputs(contents, energy)
        hyper = _hyperparameters(contents, {name: rank for name, (_, rank) in outputs.items()})
        weights = dict(converted_weights(contents, hyper, energy, outputs))
        scale, atoms = energy_scale(contents, energy), baseline(contents, energy)
        factor = uncertainty(contents, energy)
        units_of = {name: scales(contents, target) for name, (target, _) in outputs.items()}
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise PetDriverError(
            f"{path} is labelled as a PET of metatrain, version {contents.version}, but part of it "
            f"is missing or invalid ({type(error).__name__}: {error}); get the file anew"
        ) from error
    units = {
        name: DIRECT_UNITS.get(name, contents.targets[target].get("unit", ""))
        for name, (target, _) in outputs.items()
    }
    return Checkpoint(
        hyper,
        weights,
        atoms,
        scale,
        card=_card(contents, energy),
        name=path.stem,
        property_scales=units_of,
        property_units=units,
        uncertainty=factor,
    )


def _chosen_energy(contents: Contents, variant: str | None) -> str:
    """Name of the target that becomes the energy."""
    energies = [
        name
        for name, target in contents.targets.items()
        if target.get("quantity") == "energy"
        and target.get("is_scalar", True)
        and _outputs(contents, name) == 1
    ]
    if not energies:
        raise PetDriverError(f"{contents.path} has no energy among its outputs; give another")
    listed = ", ".join(_variant(name) or name for name in energies)
    if variant is not None:
        matching = [name for name in energies if variant in (name, _variant(name))]
        if not matching:
            raise PetDriverError(
                f"{contents.path} has no energy called {variant!r}; choose one of: {listed}"
            )
        energies = matching
    if len(energies) > 1 and "energy" in energies:
        energies = ["energy"]
    if len(energies) > 1:
        raise PetDriverError(
            f"{contents.path} has several energies; choose one with --variant: {listed}"
        )
    unit = contents.targets[energies[0]].get("unit", "")
    if unit not in ENERGY_UNITS:
        raise PetDriverError(
            f"{contents.path} gives its energy in {unit!r}; only eV and meV can be converted"
        )
    return energies[0]


def _variant(name: str) -> str:
    """Part of a target's name after the slash; empty without one."""
    return name.partition("/")[2]


def _outputs(contents: Contents, target: str) -> int:
    """Number of values per atom; 0 where they are split into several blocks."""
    found = [x for _, x in contents.last_layers("node", target, 0) if x.dim() == 2]
    return len(found[0]) if len(found) == 1 else 0


def _covariant_outputs(contents: Contents, energy: str) -> dict[str, tuple[str, int]]:
    """Target and rank of each vector and tensor that belongs to the same variant as the energy.

    Keys are our names. A warning lists the targets that cannot be converted.
    """
    chosen: dict[str, tuple[str, int]] = {}
    left = []
    for target, info in contents.targets.items():
        if target == energy or _variant(target) != _variant(energy):
            continue
        name = output_name(target)
        rank = _RANKS.get(_outputs(contents, target)) if info.get("is_cartesian") else None
        if rank is None or not name.isidentifier() or name in RESERVED_NAMES:
            left.append(target)
        else:
            chosen[name] = (target, rank)
    if left:
        warnings.warn(
            f"outputs of {contents.path.name} that are left out: {', '.join(left)}; only energies "
            "and Cartesian vectors and tensors can be converted",
            stacklevel=4,
        )
    return chosen


def _hyperparameters(contents: Contents, ranks: dict[str, int]) -> Hyperparameters:
    """Hyperparameters of the network that computes what metatrain's does."""
    hypers = contents.hypers
    modern = hypers["featurizer_type"] == "feedforward"
    return Hyperparameters(
        species=tuple(contents.species),
        cutoff=float(hypers["cutoff"]),
        cutoff_width=float(hypers["cutoff_width"]),
        cutoff_function=hypers["cutoff_function"].lower(),
        block="modern" if modern else "paper",
        width=hypers["d_pet"],
        node_width=hypers["d_node"],
        feedforward_width=hypers["d_feedforward"],
        head_width=hypers["d_head"],
        heads=hypers["num_heads"],
        message_layers=hypers["num_gnn_layers"],
        attention_layers=hypers["num_attention_layers"],
        normalization=_NORMALIZATIONS[hypers["normalization"]],
        activation=hypers["activation"].lower(),
        order="pre" if hypers["transformer_type"] == "PreLN" else "post",
        properties=tuple(ranks.items()),
        scope="none",
        foreign=_foreign_hyperparameters(contents, modern),
    )


def _foreign_hyperparameters(contents: Contents, modern: bool) -> ForeignHyperparameters:
    """Hyperparameters of features that our own models do not use.

    :param modern: whether the network has the modern block
    """
    hypers = contents.hypers
    neighbors = hypers["num_neighbors_adaptive"]
    pre = hypers["transformer_type"] == "PreLN"
    conditioned = hypers["system_conditioning"]
    combination = "layer" if "combination_norms.0.bias" in contents.weights else "rms"
    radii = [float(covalent_radii[z]) for z in contents.species] if hypers["zbl"] else []
    return ForeignHyperparameters(
        adaptive_neighbors=None if neighbors is None else float(neighbors),
        adaptive_method=hypers["adaptive_cutoff_method"].lower(),
        adaptive_width=float(hypers["cutoff_width_adaptive"]),
        zbl_radii=tuple(radii),
        largest_charge=int(hypers["max_charge"]) if conditioned else 0,
        largest_spin=int(hypers["max_spin_multiplicity"]) if conditioned else 0,
        neighbor_species=True,
        final_norm=False,
        combination_normalization=combination if modern else None,
        final_combination=modern,
        bare_centre=pre and hypers["d_node"] == hypers["d_pet"],
        directions_alone=True,
    )


def _card(contents: Contents, energy: str) -> dict[str, Any]:
    """Model card: what the authors wrote, and which file was converted."""
    metadata = contents.metadata
    references = [x for found in (metadata.get("references") or {}).values() for x in found]
    card = {
        "name": metadata.get("name") or contents.path.stem,
        "description": metadata.get("description") or "PET trained with metatrain",
        "authors": metadata.get("authors") or [],
        "references": references,
        "converted_from": {
            "file": contents.path.name,
            "sha256": hashlib.sha256(contents.path.read_bytes()).hexdigest(),
            "format": f"metatrain PET, version {contents.version}",
            "energy": energy,
        },
    }
    return {key: value for key, value in card.items() if value}
