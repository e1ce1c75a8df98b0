"""Checkpoints of metatrain's PET of earlier versions (1 to 15), brought to the layout of version
16.

What changed from version to version is in metatrain's pet/checkpoints.py; here only what a model
consists of is carried on, not what its training needs.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

NEWEST = 16
# Options that came later, and what models from before were.
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
    """
    :param version: of the model's part of the checkpoint, 1 to 16
    :return: options and weights of the network as in version 16, the names without ``backend.``
    """
    weights = {
        name.removeprefix("backend."): value
        for name, value in weights.items()
        if isinstance(value, Tensor)
    }
    if version < 8:
        hypers, weights = _to_8(hypers, weights)
    hypers = {**_BEFORE, "d_node": hypers["d_pet"], **hypers}
    # Until version 13 the width of the cutoff was that of the adaptive one too.
    hypers.setdefault("cutoff_width_adaptive", hypers["cutoff_width"])
    return hypers, weights


def _to_8(
    hypers: dict[str, Any], weights: dict[str, Tensor]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Other names, and a row for padding in each table of species that nobody reads."""
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
    """Weights with their low-rank adapters (LoRA) added: ``W + alpha / rank * B A``.

    :param config: of the fine-tuning; without adapters the weights come back as they are
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
