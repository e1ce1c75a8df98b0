"""Weights, scales and energies of single atoms of metatrain's PET, as ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import PetDriverError
from ..evaluation.prediction import DIRECT_VIRIAL
from ..model import Hyperparameters
from .metatrain_contents import Contents, output_name
from .tensor_maps import read_table

ENERGY_UNITS = {"eV": 1.0, "": 1.0, "meV": 1e-3}


def converted_weights(
    contents: Contents,
    hyper: Hyperparameters,
    energy: str,
    outputs: dict[str, tuple[str, int]],
) -> Iterator[tuple[str, Tensor]]:
    """Weights under our names."""
    theirs, rows = contents.weights, contents.rows
    yield "message_embedder.weight", theirs["edge_embedder.weight"][rows]
    for name, value in theirs.items():
        kind, *rest = name.split(".")
        if kind == "node_embedders":
            yield f"layers.{rest[0]}.node_embedder.weight", value[rows]
        elif kind == "combination_norms":
            yield name, value
        elif kind == "combination_mlps":
            yield f"combination_mlps.{rest[0]}.layers.{'.'.join(rest[1:])}", value
        elif kind == "system_conditioning" and hyper.largest_spin:
            ours = name.replace("system_conditioning", "conditioning").replace("project", "mix")
            yield ours.replace("spin_multiplicity_embedding", "spin_embedding"), value
        elif kind == "gnn_layers":
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
    """A weight of a message layer; rest: its number and the name inside."""
    name = ".".join(rest[1:]).replace("trans.layers.", "transformer.")
    name = name.replace("compress.0", "compress_in").replace("compress.2", "compress_out")
    if name == "neighbor_embedder.weight":
        value = value[rows]
    temperature = float(hypers["attention_temperature"])
    if ".input_linear." in name and temperature != 1.0:
        # Queries come first; what divides the logits can divide them.
        queries = len(value) // 3
        value = torch.cat([value[:queries] / temperature, value[queries:]])
    return f"layers.{rest[0]}.{name}", value


def _head(
    contents: Contents, side: str, target: str, readout: int, ours: str
) -> Iterator[tuple[str, Tensor]]:
    """The two hidden layers of a head and its last one."""
    for layer in (0, 2):
        for part in ("weight", "bias"):
            value = contents.weights[f"{side}_heads.{target}.{readout}.{layer}.{part}"]
            yield f"{ours}.layers.{layer}.{part}", value
    for name, value in contents.last_layers(side, target, readout):
        yield f"{ours}.layers.4.{name.rpartition('.')[2]}", value


def _scale_table(contents: Contents, target: str) -> dict[int, float]:
    """What one unit of a target is, by number of the row of the species, or for all under -1."""
    legacy = contents.weights.get("scaler.scales")
    if legacy is not None:
        return {-1: float(legacy[list(contents.targets).index(target)])}
    table = read_table(contents.weights[f"scaler.{target}_scaler_buffer"])
    return {key: _single(row) for key, row in table.items()}


def _single(row: np.ndarray) -> float:
    if row.size != 1:
        raise ValueError(f"{row.size} numbers where one was expected")
    return float(row.ravel()[0])


def scales(contents: Contents, target: str) -> float | list[float]:
    """One number, or one for each species."""
    table = _scale_table(contents, target)
    sign = -1.0 if output_name(target) == DIRECT_VIRIAL else 1.0
    if -1 in table:
        return sign * table[-1]
    return [sign * table[int(row)] for row in contents.rows]


def energy_scale(contents: Contents, energy: str) -> float:
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
    """Energies of single atoms, eV, in the order of the species."""
    buffer = contents.weights.get(f"additive_models.0.{energy}_composition_buffer")
    if buffer is None:
        return [0.0] * len(contents.species)
    table, unit = read_table(buffer), ENERGY_UNITS[contents.targets[energy].get("unit", "")]
    return [_single(table[z]) * unit for z in contents.species]


def uncertainty(contents: Contents, energy: str) -> Tensor | None:
    """Matrix A of `Potential.energy_uncertainty`: with the covariance ``L L^T`` of the features and
    the calibrated factor alpha, ``alpha L^-1``."""
    base = energy.removeprefix("mtt::")
    name = "energy_uncertainty" if energy == "energy" else f"mtt::aux::{base}_uncertainty"
    cholesky = contents.llpr.get(f"cholesky_{name}")
    factor = contents.llpr.get(f"multiplier_{name}")
    if cholesky is None or factor is None:
        return None
    lower = cholesky.to(torch.float64)
    identity = torch.eye(len(lower), dtype=torch.float64)
    return float(factor) * torch.linalg.solve_triangular(lower, identity, upper=False)
