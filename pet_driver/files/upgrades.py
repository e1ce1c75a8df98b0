"""Conversion of older metatrain PET checkpoints, versions 1 to 15, to the layout of version 16.

The changes between versions are in metatrain's pet/checkpoints.py. Only what defines the model is
converted, not the state of its training.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

NEWEST = 16
# Options that came later, with the values that describe models from before.
_BEFORE = {
    "normalization": "LayerNorm",
    "activation": "SiLU",
    "transformer_type": "PostLN",
    "featurizer_type": "residual",
    "num_neighbors_adaptive": None,
    "cutoff_function": "Cosine",
    "attention_temperature": 1.0,
    "adaptive_cutoff_method": "grid",
    "system_conditioning": False,
    "max_charge": 10,
    "max_spin_multiplicity": 10,
}
_PADDED = ("edge_embedder.weight", "node_embedders.", "neighbor_embedder.")


def upgraded(
    version: int, hypers: dict[str, Any], weights: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Options and weights in the layout of version 16.

    :param version: of the model in the checkpoint, 1 to 16
    :param hypers: options of the model
    :param weights: state of the model; entries that are not tensors are left out
    :return: options, and weights by their names without ``backend.``
    :raises KeyError: if an option is missing that every version has
    """
    weights = {
        name.removeprefix("backend."): value
        for name, value in weights.items()
        if isinstance(value, Tensor)
    }
    if version < 8:
        hypers, weights = _to_8(hypers, weights)
    hypers = {**_BEFORE, "d_node": hypers["d_pet"], **hypers}
    # Until version 13 the adaptive cutoff had the width of the cutoff.
    hypers.setdefault("cutoff_width_adaptive", hypers["cutoff_width"])
    return hypers, weights


def _to_8(
    hypers: dict[str, Any], weights: dict[str, Tensor]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Options and weights in the layout of version 8.

    Names changed, and the tables of species lost their last row, which was padding.
    """
    large = "node_embedding.weight" in weights
    if large:
        hypers = {
            **hypers,
            "normalization": "RMSNorm",
            "activation": "SwiGLU",
            "transformer_type": "PreLN",
            "featurizer_type": "feedforward",
            "d_node": 4 * hypers["d_pet"],
            "d_feedforward": 2 * hypers["d_pet"],
        }
    renamed = {}
    for old, value in weights.items():
        name = old.replace("node_embedding.", "node_embedders.0.")
        if name.startswith("embedding."):
            name = name.replace("embedding.", "edge_embedder.", 1)
        if ".node_embedder." in name:
            name = f"node_embedders.{name.split('.')[1]}.weight"
        name = name.replace("combination_rmsnorms", "combination_norms")
        name = name.replace(".mlp.0.", ".mlp.w_in.").replace(".mlp.3.", ".mlp.w_out.")
        padded = name == _PADDED[0] or name.startswith(_PADDED[1]) or f".{_PADDED[2]}" in name
        renamed[name] = value[:-1] if padded else value
    return hypers, renamed


def merged_adapters(weights: dict[str, Tensor], config: dict[str, Any]) -> dict[str, Tensor]:
    """Weights with their low-rank adapters merged: W + alpha / rank * B A (LoRA, arXiv 2106.09685).

    :param weights: by name; without adapters among them they are returned as they are
    :param config: metatrain's options of the fine-tuning
    """
    merged = {}
    for name, value in weights.items():
        if ".lora_A." in name or ".lora_B." in name:
            continue
        stem, inner, last = name.rpartition(".linear.")
        if not inner or f"{stem}.lora_A.weight" not in weights:
            merged[name] = value
            continue
        if last == "weight":
            down = weights[f"{stem}.lora_A.weight"]
            up = weights[f"{stem}.lora_B.weight"]
            options = config.get("config", config)
            scaling = float(options.get("alpha", 8.0)) / down.shape[0]
            value = value + scaling * (up @ down)
        merged[f"{stem}.{last}"] = value
    return merged
