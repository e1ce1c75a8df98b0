"""Weights, scales and atomic energies of metatrain's PET, under our names and in our units."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from ..errors import PetDriverError
from ..model import Hyperparameters
from .metatrain_contents import Contents, output_name
from .output_names import DIRECT_UNITS, DIRECT_VIRIAL
from .tensor_maps import read_table

ENERGY_UNITS = {"eV": 1.0, "": 1.0, "meV": 1e-3}


def converted_weights(
    contents: Contents,
    hyper: Hyperparameters,
    energy: str,
    outputs: dict[str, tuple[str, int]],
) -> Iterator[tuple[str, Tensor]]:
    """Weights of the network under our names.

    :param hyper: hyperparameters that the weights are for
    :param energy: target that is the energy
    :param outputs: target and rank of each covariant output, by our name
    :raises KeyError: if a weight is missing
    """
    theirs, rows = contents.weights, contents.rows
    yield "message_embedder.weight", theirs["edge_embedder.weight"][rows]
    for name, value in theirs.items():
        module, *rest = name.split(".")
        if module == "node_embedders":
            yield f"layers.{rest[0]}.node_embedder.weight", value[rows]
        elif module == "combination_norms":
            yield name, value
        elif module == "combination_mlps":
            yield f"combination_mlps.{rest[0]}.layers.{'.'.join(rest[1:])}", value
        elif module == "system_conditioning" and hyper.foreign.largest_spin:
            ours = name.replace("system_conditioning", "conditioning").replace("project", "mix")
            yield ours.replace("spin_multiplicity_embedding", "spin_embedding"), value
        elif module == "gnn_layers":
            yield _in_layer(rest, value, rows, contents.hypers)
    readouts = 1 if hyper.block == "modern" else hyper.message_layers
    for readout in range(readouts):
        for side in ("node", "edge"):
            yield from _head(contents, side, energy, readout, f"{side}_heads.{readout}")
            for name, (target, _) in outputs.items():
                ours = f"property_heads.{name}.{readout}.{side}"
                yield from _head(contents, side, target, readout, ours)


def _in_layer(
    rest: list[str], value: Tensor, rows: Tensor, hypers: dict[str, Any]
) -> tuple[str, Tensor]:
    """Our name and value of a weight of a message layer.

    :param rest: parts of metatrain's name: index of the layer, then the name within the layer
    :param rows: row of each species in the tables of embeddings
    """
    name = ".".join(rest[1:]).replace("trans.layers.", "transformer.")
    name = name.replace("compress.0", "compress_in").replace("compress.2", "compress_out")
    if name == "neighbor_embedder.weight":
        value = value[rows]
    temperature = float(hypers["attention_temperature"])
    if ".input_linear." in name and temperature != 1.0:
        # The first third projects to queries; dividing them by the temperature divides the logits.
        queries = len(value) // 3
        value = torch.cat([value[:queries] / temperature, value[queries:]])
    return f"layers.{rest[0]}.{name}", value


def _head(
    contents: Contents, side: str, target: str, readout: int, ours: str
) -> Iterator[tuple[str, Tensor]]:
    """Weights of the two hidden layers of a head and of its last one, under our names."""
    for layer in (0, 2):
        for part in ("weight", "bias"):
            value = contents.weights[f"{side}_heads.{target}.{readout}.{layer}.{part}"]
            yield f"{ours}.layers.{layer}.{part}", value
    for name, value in contents.last_layers(side, target, readout):
        yield f"{ours}.layers.4.{name.rpartition('.')[2]}", value


def _scale_table(contents: Contents, target: str) -> dict[int, float]:
    """Value of one unit of a target by row of the species; one for all species has the key -1."""
    legacy = contents.weights.get("scaler.scales")
    if legacy is not None:
        return {-1: float(legacy[list(contents.targets).index(target)])}
    table = read_table(contents.weights[f"scaler.{target}_scaler_buffer"])
    return {key: _single(row) for key, row in table.items()}


def _single(row: npt.NDArray[Any]) -> float:
    """The only number of an array."""
    if row.size != 1:
        raise ValueError(f"{row.size} numbers where one was expected")
    return float(row.ravel()[0])


def scales(contents: Contents, target: str) -> float | list[float]:
    """Value of one unit of the network's output for a target, in its unit; of direct ones in eV.

    :return: one number, or one per species
    :raises LookupError: if it is missing
    :raises ValueError: if it is not a single number
    """
    table, name = _scale_table(contents, target), output_name(target)
    factor = _direct_unit(contents, target) if name in DIRECT_UNITS else 1.0
    if name == DIRECT_VIRIAL:
        factor = -factor
    if -1 in table:
        return factor * table[-1]
    return [factor * table[int(row)] for row in contents.rows]


def _direct_unit(contents: Contents, target: str) -> float:
    """Value of the unit of energy in that of a direct output, such as meV/A, eV.

    :raises PetDriverError: if it is unknown
    """
    unit = contents.targets[target].get("unit", "")
    energy = unit.split("/")[0].strip()
    if energy not in ENERGY_UNITS:
        raise PetDriverError(
            f"{contents.path} gives {target} in {unit!r}; only models in eV or meV can be converted"
        )
    return ENERGY_UNITS[energy]


def energy_scale(contents: Contents, energy: str) -> float:
    """Value of one unit of the network's energy, eV.

    :raises PetDriverError: if it depends on the species
    """
    scale = scales(contents, energy)
    if isinstance(scale, list):
        if len(set(scale)) > 1:
            raise PetDriverError(
                f"{contents.path} scales its energy differently for each element; such models "
                "cannot be converted"
            )
        scale = scale[0]
    return scale * ENERGY_UNITS[contents.targets[energy].get("unit", "")]


def baseline(contents: Contents, energy: str) -> list[float]:
    """Energies of isolated atoms (metatrain's composition model), eV, in the order of the species.

    :raises LookupError: if that of a species is missing
    """
    buffer = contents.weights.get(f"additive_models.0.{energy}_composition_buffer")
    if buffer is None:
        return [0.0] * len(contents.species)
    table, unit = read_table(buffer), ENERGY_UNITS[contents.targets[energy].get("unit", "")]
    return [_single(table[z]) * unit for z in contents.species]


def uncertainty(contents: Contents, energy: str) -> Tensor | None:
    """Matrix of `Potential.energy_uncertainty`, alpha L^-1, (n_features, n_features), eV.

    ``L L^T`` is the covariance of the last-layer features, and alpha the calibration factor (LLPR,
    arXiv 2403.02251). None where the checkpoint has no uncertainties, or, with a warning, has them
    in a layout that is not known.
    """
    base = energy.removeprefix("mtt::")
    name = "energy_uncertainty" if energy == "energy" else f"mtt::aux::{base}_uncertainty"
    cholesky = contents.llpr.get(f"cholesky_{name}")
    covariance = contents.llpr.get(f"covariance_{name}")  # before version 4 of LLPR
    factor = contents.llpr.get(f"multiplier_{name}")
    if cholesky is None and covariance is not None:
        cholesky = _lower_factor(covariance)
    if factor is None or cholesky is None:
        if contents.llpr:
            warnings.warn(
                f"{contents.path} has no uncertainty of {energy} in a layout that pet-driver "
                "reads, so it is left out",
                stacklevel=2,
            )
        return None
    lower = cholesky.to(torch.float64)
    identity = torch.eye(len(lower), dtype=torch.float64)
    inverse: Tensor = torch.linalg.solve_triangular(lower, identity, upper=False)
    return float(factor) * ENERGY_UNITS[contents.targets[energy].get("unit", "")] * inverse


def _lower_factor(covariance: Tensor) -> Tensor:
    """Cholesky factor of a covariance, with the smallest multiple of one that makes it definite.

    As metatrain does for checkpoints that lack the factor.

    :raises RuntimeError: if no multiple does
    """
    symmetric = 0.5 * (covariance + covariance.T).to(torch.float64)
    identity = torch.eye(len(symmetric), dtype=torch.float64)
    for power in range(-20, 16):
        found = torch.linalg.cholesky_ex(symmetric + 10.0**power * identity)
        lower: Tensor = found.L
        if not found.info:
            return lower
    raise RuntimeError("the covariance of the features is not finite")
