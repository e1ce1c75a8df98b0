"""Folders of the original PET, against its formulas written down atom by atom (arXiv 2305.19302 and
the modules of github.com/spozdn/pet)."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from ase import Atoms
from torch import Tensor
from torch.nn.functional import layer_norm, linear, silu

from pet_driver.evaluation.potential import Potential
from pet_driver.files.conversion import convert

SPECIES = [1, 6, 8]
WIDTH, HEADS, HIDDEN, HEAD = 8, 2, 12, 6
PLAIN = {
    "R_CUT": 3.2,
    "CUTOFF_DELTA": 0.4,
    "TRANSFORMER_D_MODEL": WIDTH,
    "TRANSFORMER_N_HEAD": HEADS,
    "TRANSFORMER_DIM_FEEDFORWARD": HIDDEN,
    "HEAD_N_NEURONS": HEAD,
    "N_GNN_LAYERS": 2,
    "N_TRANS_LAYERS": 2,
    "ACTIVATION": "silu",
    "USE_LENGTH": True,
}
POSITIONS = np.array(
    [[0.0, 0.0, 0.0], [1.1, 0.1, 0.0], [-0.3, 1.2, 0.4], [0.2, -0.5, 2.1], [2.9, 0.8, 0.3]]
)
SPECIES_INDICES = [1, 0, 2, 0, 2]
ENERGIES = [-0.5, -37.8, -74.2]


@pytest.mark.parametrize("sudden", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"TRANSFORMER_TYPE": "PreLN"},
        {"BLEND_NEIGHBOR_SPECIES": True, "N_GNN_LAYERS": 3},
        {"USE_LENGTH": False},
        {"USE_ONLY_LENGTH": True, "N_TRANS_LAYERS": 1},
        {"USE_BOND_ENERGIES": False},
    ],
    ids=lambda change: next(iter(change), "plain"),
)
def test_formulas(tmp_path: Path, change: dict, sudden: bool) -> None:
    options = {**PLAIN, **change}
    weights = random_weights(options)
    write_folder(tmp_path, options, weights)
    potential = Potential(convert(tmp_path, sudden_bonds=sudden), dtype="float64")
    atoms = torch.tensor(POSITIONS, requires_grad=True)
    energies = reference(weights, options, atoms, sudden)
    (gradient,) = torch.autograd.grad(energies.sum(), atoms)

    found = potential.compute(Atoms([SPECIES[k] for k in SPECIES_INDICES], POSITIONS))
    expected = energies.detach().numpy() + np.array(ENERGIES)[SPECIES_INDICES]
    assert np.allclose(found.energies, expected, rtol=1e-11, atol=0.0)
    assert np.allclose(found.forces, -gradient.numpy(), rtol=0.0, atol=1e-10)


def test_newer_layout(tmp_path: Path) -> None:
    """Options in sections, names with prefixes and twice, as the last commits write them."""
    weights = random_weights(PLAIN)
    old, new = tmp_path / "old", tmp_path / "new"
    write_folder(old, PLAIN, weights)
    renamed = {}
    for name, value in weights.items():
        inner = name.replace(".nn.", ".model.nn.") if "heads" in name else name
        renamed[f"module.model.pet_model.{inner}"] = value
        if name.startswith("heads"):
            twin = name.replace("heads.", "central_tokens_predictors.").replace(".nn.", ".head.nn.")
            renamed[f"module.model.pet_model.{twin}"] = value
    write_folder(new, {"ARCHITECTURAL_HYPERS": PLAIN, "FITTING_SCHEME": {"MAX_TIME": 1}}, renamed)
    one, two = convert(old), convert(new)
    assert one.weights.keys() == two.weights.keys()
    assert all(torch.equal(one.weights[key], two.weights[key]) for key in one.weights)


def test_which_weights(tmp_path: Path) -> None:
    first, second = random_weights(PLAIN, 1), random_weights(PLAIN, 2)
    write_folder(tmp_path, PLAIN, first)
    torch.save(second, tmp_path / "best_val_mae_forces_model_state_dict")
    by_default = convert(tmp_path).weights["layers.0.compress_in.weight"]
    chosen = convert(tmp_path, "best_val_mae_forces_model").weights["layers.0.compress_in.weight"]
    assert torch.equal(by_default, first["gnn_layers.0.compress.0.weight"])
    assert torch.equal(chosen, second["gnn_layers.0.compress.0.weight"])


def write_folder(path: Path, options: dict, weights: dict[str, Tensor]) -> None:
    path.mkdir(exist_ok=True)
    (path / "hypers_used.yaml").write_text(yaml.safe_dump(options))
    np.save(path / "all_species.npy", np.array(SPECIES))
    np.save(path / "self_contributions.npy", np.array(ENERGIES))
    torch.save(OrderedDict(weights), path / "best_val_rmse_both_model_state_dict")


def random_weights(options: dict, seed: int = 0) -> dict[str, Tensor]:
    """Under the names of the original code, its unused template layers too."""
    generator = torch.Generator().manual_seed(seed)

    def numbers(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64) * 0.4

    found = {"embedding.weight": numbers(len(SPECIES) + 1, WIDTH)}

    def dense(name: str, out: int, into: int) -> None:
        found[f"{name}.weight"], found[f"{name}.bias"] = numbers(out, into), numbers(out)

    def norm(name: str) -> None:
        found[f"{name}.weight"], found[f"{name}.bias"] = 1.0 + numbers(WIDTH), numbers(WIDTH)

    inputs = 1 if options.get("USE_ONLY_LENGTH") else 3 + options["USE_LENGTH"]
    for k in range(options["N_GNN_LAYERS"]):
        layer = f"gnn_layers.{k}"
        blocks = [f"{layer}.trans_layer"]
        blocks += [f"{layer}.trans.layers.{n}" for n in range(options["N_TRANS_LAYERS"])]
        for block in blocks:
            dense(f"{block}.attention.input_linear", 3 * WIDTH, WIDTH)
            dense(f"{block}.attention.output_linear", WIDTH, WIDTH)
            norm(f"{block}.norm_attention")
            norm(f"{block}.norm_mlp")
            dense(f"{block}.mlp.0", HIDDEN, WIDTH)
            dense(f"{block}.mlp.3", WIDTH, HIDDEN)
        if options.get("TRANSFORMER_TYPE") == "PreLN":
            norm(f"{layer}.trans.final_norm")
        dense(f"{layer}.r_embedding", WIDTH, inputs)
        blend = bool(options.get("BLEND_NEIGHBOR_SPECIES")) and k > 0
        if blend:
            found[f"{layer}.neighbor_embedder.weight"] = numbers(len(SPECIES) + 1, WIDTH)
        dense(f"{layer}.compress.0", WIDTH, (2 + blend) * WIDTH)
        dense(f"{layer}.compress.2", WIDTH, WIDTH)
        found[f"{layer}.central_embedder.weight"] = numbers(len(SPECIES) + 1, WIDTH)
        for heads in ("heads", "bond_heads"):
            if heads == "heads" or options.get("USE_BOND_ENERGIES", True):
                dense(f"{heads}.{k}.nn.0", HEAD, WIDTH)
                dense(f"{heads}.{k}.nn.2", HEAD, HEAD)
                dense(f"{heads}.{k}.nn.4", 1, HEAD)
    return found


def reference(weights: dict[str, Tensor], options: dict, atoms: Tensor, sudden: bool) -> Tensor:
    """(n_atoms,), energies without those of single atoms."""

    def dense(name: str, x: Tensor) -> Tensor:
        return linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(name: str, x: Tensor) -> Tensor:
        return layer_norm(x, (WIDTH,), weights[f"{name}.weight"], weights[f"{name}.bias"])

    def head(name: str, x: Tensor) -> Tensor:
        hidden = silu(dense(f"{name}.nn.2", silu(dense(f"{name}.nn.0", x))))
        return dense(f"{name}.nn.4", hidden).squeeze(-1)

    cutoff, width = options["R_CUT"], options["CUTOFF_DELTA"]
    count = len(atoms)
    vectors = {
        (i, j): atoms[j] - atoms[i]
        for i in range(count)
        for j in range(count)
        if i != j and float((atoms[j] - atoms[i]).norm()) < cutoff
    }
    messages = {ij: weights["embedding.weight"][SPECIES_INDICES[ij[1]]] for ij in vectors}
    energies = [atoms.new_zeros(()) for _ in range(count)]
    for k in range(options["N_GNN_LAYERS"]):
        layer, sent = f"gnn_layers.{k}", {}
        for i in range(count):
            neighbors = [j for j in range(count) if (i, j) in vectors]
            tokens, factors = (
                [weights[f"{layer}.central_embedder.weight"][SPECIES_INDICES[i]]],
                [1.0],
            )
            for j in neighbors:
                r = vectors[i, j]
                length = r.norm()
                if options.get("USE_ONLY_LENGTH"):
                    seen = length[None]
                else:
                    seen = torch.cat([r, length[None]]) if options["USE_LENGTH"] else r
                parts = [dense(f"{layer}.r_embedding", seen), messages[i, j]]
                if f"{layer}.neighbor_embedder.weight" in weights:
                    parts.insert(
                        1, weights[f"{layer}.neighbor_embedder.weight"][SPECIES_INDICES[j]]
                    )
                token = silu(dense(f"{layer}.compress.0", torch.cat(parts)))
                tokens.append(dense(f"{layer}.compress.2", token))
                s = ((length - cutoff + width) / width).clamp(0.0, 1.0)
                factors.append(0.5 + 0.5 * torch.cos(torch.pi * s))
            x = transformed(dense, norm, layer, options, torch.stack(tokens), factors)
            energies[i] = energies[i] + head(f"heads.{k}", x[0])
            for token, j in enumerate(neighbors, 1):
                sent[i, j] = x[token]
                if options.get("USE_BOND_ENERGIES", True):
                    share = 1.0 if sudden else factors[token]
                    energies[i] = energies[i] + share * head(f"bond_heads.{k}", x[token])
        messages = {(i, j): 0.5 * (m + sent[j, i]) for (i, j), m in messages.items()}
    return torch.stack(energies)


def transformed(
    dense: object, norm: object, layer: str, options: dict, x: Tensor, factors: list
) -> Tensor:
    """One stack of transformer layers over the tokens of one centre."""
    before = options.get("TRANSFORMER_TYPE") == "PreLN"
    columns = torch.stack([torch.as_tensor(f, dtype=x.dtype) for f in factors])

    def attention(name: str, x: Tensor) -> Tensor:
        query, key, value = dense(f"{name}.input_linear", x).chunk(3, dim=1)
        mixed = []
        for h in range(HEADS):
            own = slice(h * WIDTH // HEADS, (h + 1) * WIDTH // HEADS)
            logits = query[:, own] @ key[:, own].T / np.sqrt(WIDTH // HEADS)
            alpha = torch.softmax(logits, dim=1) * columns
            mixed.append(alpha / alpha.sum(1, keepdim=True) @ value[:, own])
        return dense(f"{name}.output_linear", torch.cat(mixed, dim=1))

    def feedforward(name: str, x: Tensor) -> Tensor:
        return dense(f"{name}.mlp.3", silu(dense(f"{name}.mlp.0", x)))

    for n in range(options["N_TRANS_LAYERS"]):
        name = f"{layer}.trans.layers.{n}"
        if before:
            x = x + attention(f"{name}.attention", norm(f"{name}.norm_attention", x))
            x = x + feedforward(name, norm(f"{name}.norm_mlp", x))
        else:
            x = norm(f"{name}.norm_attention", x + attention(f"{name}.attention", x))
            x = norm(f"{name}.norm_mlp", x + feedforward(name, x))
    return norm(f"{layer}.trans.final_norm", x) if before else x
