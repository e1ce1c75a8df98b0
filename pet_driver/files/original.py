"""Conversion of folders written by the original PET code (https://github.com/spozdn/pet)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import PetDriverError
from ..model import ForeignHyperparameters, Hyperparameters
from .checkpoint import Checkpoint
from .pickled import read_pickled

_OPTIONS = "hypers_used.yaml"
_ENDING = "_state_dict"
_PREFERRED = "best_val_rmse_both_model"
# Options of which one value can be converted. A folder without the option is older than it, and
# its model is as if it had this value.
_ONLY = {
    "ACTIVATION": "silu",
    "COMPRESS_MODE": "mlp",
    "R_EMBEDDING_ACTIVATION": False,
    "ADD_TOKEN_FIRST": True,
    "ADD_TOKEN_SECOND": True,
    "TRANSFORMERS_CENTRAL_SPECIFIC": False,
    "HEADS_CENTRAL_SPECIFIC": False,
    "AVERAGE_BOND_ENERGIES": False,
    "USE_ADDITIONAL_SCALAR_ATTRIBUTES": False,
    "USE_LONG_RANGE": False,
    "RESIDUAL_FACTOR": 0.5,
    "D_OUTPUT": 1,
    "N_TARGETS": 1,
    "TARGET_TYPE": "structural",
    "TARGET_AGGREGATION": "sum",
}


def is_original(path: Path) -> bool:
    """Whether a folder has the options file of the original code."""
    return (path / _OPTIONS).is_file()


def convert_original(path: Path, variant: str | None, sudden_bonds: bool) -> Checkpoint:
    """Convert a folder of the original code.

    :param path: folder with options, species, atomic energies and weights
    :param variant: which weights, the name of a file without its ending ``_state_dict``; None:
        those with the best product of the errors of energies and forces
    :param sudden_bonds: see `convert`
    :raises PetDriverError: if something is missing, or the model needs what pet-driver lacks
    """
    options = _options(path)
    for name, needed in _ONLY.items():
        if options.get(name, needed) != needed:
            raise PetDriverError(
                f"{path} has {name} {options[name]!r}; only models with {needed!r} can be converted"
            )
    file = _weights_file(path, variant)
    saved = read_pickled(file)
    try:
        species = [int(z) for z in np.load(path / "all_species.npy", allow_pickle=False)]
        energies = np.load(path / "self_contributions.npy", allow_pickle=False).ravel()
        if len(energies) != len(species):
            raise ValueError(f"{len(energies)} energies of {len(species)} species")
        theirs = _named(saved)
        hyper = _hyperparameters(options, species, sudden_bonds)
        weights = dict(_weights(theirs, options, hyper))
    except (AttributeError, EOFError, LookupError, OSError, TypeError, ValueError) as error:
        raise PetDriverError(
            f"{path} is not a complete folder of the original PET ({type(error).__name__}: "
            f"{error}); it needs {_OPTIONS}, all_species.npy, self_contributions.npy and "
            f"*{_ENDING}"
        ) from error
    card = {
        "description": "PET trained with the original code",
        "references": ["https://arxiv.org/abs/2305.19302"],
        "converted_from": {
            "file": f"{path.name}/{file.name}",
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "format": "spozdn/pet" + (", energies of bonds without cutoff" if sudden_bonds else ""),
        },
    }
    baseline = [float(e) for e in energies]
    return Checkpoint(hyper, weights, baseline, 1.0, card=card, name=path.resolve().name)


def _options(path: Path) -> dict[str, Any]:
    """All options in one table. Older folders have no sections, newer ones do."""
    try:
        import yaml  # an optional package, also needed for training
    except ImportError as error:
        raise PetDriverError(
            f"{path / _OPTIONS} cannot be read without PyYAML; install it with `pip install pyyaml`"
        ) from error
    try:
        read = yaml.safe_load((path / _OPTIONS).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PetDriverError(
            f"{path / _OPTIONS} cannot be read ({' '.join(str(error).split())}); get it anew"
        ) from error
    if not isinstance(read, dict):
        raise PetDriverError(f"{path / _OPTIONS} is not a table of options; get it anew")
    flat: dict[str, Any] = {}
    for name, value in read.items():
        flat.update(value if isinstance(value, dict) else {name: value})
    return flat


def _weights_file(path: Path, variant: str | None) -> Path:
    """File with the weights that were chosen."""
    names = sorted(file.name.removesuffix(_ENDING) for file in path.glob(f"*{_ENDING}"))
    wanted = variant or (names[0] if len(names) == 1 else _PREFERRED)
    if wanted.removesuffix(_ENDING) not in names:
        raise PetDriverError(
            f"{path} has no {wanted.removesuffix(_ENDING)}{_ENDING}; "
            + (f"choose one with --variant: {', '.join(names)}" if names else "add the file")
        )
    return path / f"{wanted.removesuffix(_ENDING)}{_ENDING}"


def _named(saved: Any) -> dict[str, Tensor]:  # noqa: ANN401
    """Weights by their names in the network itself, without the prefixes of wrapping modules."""
    named = {}
    for name, value in saved.items():
        bare = re.sub(r"^(module\.|model\.|pet_model\.)*", "", name)
        named[re.sub(r"heads\.(\d+)\.model\.nn\.", r"heads.\1.nn.", bare)] = value
    return named


def _hyperparameters(
    options: dict[str, Any], species: list[int], sudden_bonds: bool
) -> Hyperparameters:
    """Hyperparameters of the network that computes what the original one does."""
    width = options["TRANSFORMER_D_MODEL"]
    return Hyperparameters(
        species=tuple(species),
        cutoff=float(options["R_CUT"]),
        cutoff_width=float(options.get("CUTOFF_DELTA", 0.2)),
        cutoff_function="cosine",
        block="paper",
        width=width,
        node_width=width,
        feedforward_width=options["TRANSFORMER_DIM_FEEDFORWARD"],
        head_width=options["HEAD_N_NEURONS"],
        heads=options["TRANSFORMER_N_HEAD"],
        message_layers=options["N_GNN_LAYERS"],
        attention_layers=options["N_TRANS_LAYERS"],
        normalization="layer",
        activation="silu",
        order="pre" if options.get("TRANSFORMER_TYPE", "PostLN") == "PreLN" else "post",
        foreign=ForeignHyperparameters(
            neighbor_species=bool(options.get("BLEND_NEIGHBOR_SPECIES", False)),
            sudden_bonds=sudden_bonds,
        ),
        scope="none",
    )


def _weights(
    theirs: dict[str, Tensor], options: dict[str, Any], hyper: Hyperparameters
) -> Iterator[tuple[str, Tensor]]:
    """Weights under our names. The last row of their tables of species is padding."""
    yield "message_embedder.weight", theirs["embedding.weight"][:-1]
    for name, value in theirs.items():
        module, _, rest = name.partition(".")
        if module == "gnn_layers" and ".trans_layer." not in name:
            layer, _, inner = rest.partition(".")
            yield f"layers.{layer}.{_inner(inner)}", _adapted(inner, value, options)
        elif module == "heads" or (
            module == "bond_heads" and options.get("USE_BOND_ENERGIES", True)
        ):
            ours = "node_heads" if module == "heads" else "edge_heads"
            yield f"{ours}.{rest.replace('.nn.', '.layers.')}", value
    if not options.get("USE_BOND_ENERGIES", True):
        yield from _silent_bonds(hyper)


def _inner(name: str) -> str:
    """Our name of a weight within a message layer."""
    name = name.replace("trans.layers.", "transformer.").replace("trans.final_norm", "final_norm")
    name = name.replace(".mlp.0.", ".mlp.w_in.").replace(".mlp.3.", ".mlp.w_out.")
    name = name.replace("compress.0.", "compress_in.").replace("compress.2.", "compress_out.")
    name = name.replace("r_embedding.", "edge_embedder.")
    return name.replace("central_embedder.", "node_embedder.")


def _adapted(name: str, value: Tensor, options: dict[str, Any]) -> Tensor:
    """Value of a weight within a message layer, in the shape that our network needs."""
    if name in ("central_embedder.weight", "neighbor_embedder.weight"):
        return value[:-1]
    if name == "r_embedding.weight":
        # Our input is always (x, y, z, r); what theirs did not use gets zeros.
        zeros = value.new_zeros(len(value), 4)
        if options.get("USE_ONLY_LENGTH", False):
            zeros[:, 3:] = value
        else:
            zeros[:, : value.shape[1]] = value
        return zeros
    return value


def _silent_bonds(hyper: Hyperparameters) -> Iterator[tuple[str, Tensor]]:
    """Weights of edge heads that predict zero, for a model without bond energies."""
    shapes = {
        0: (hyper.head_width, hyper.width),
        2: (hyper.head_width,) * 2,
        4: (1, hyper.head_width),
    }
    for readout in range(hyper.message_layers):
        for layer, shape in shapes.items():
            yield f"edge_heads.{readout}.layers.{layer}.weight", torch.zeros(shape)
            yield f"edge_heads.{readout}.layers.{layer}.bias", torch.zeros(shape[0])
