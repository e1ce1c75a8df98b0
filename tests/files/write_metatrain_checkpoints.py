"""Random-weight PET checkpoints of metatrain, and the results of metatrain for them.

Runs in an environment of its own, which has metatrain:

    python tests/files/write_metatrain_checkpoints.py FOLDER --count 100

Each FOLDER/NAME.ckpt comes with NAME.npz: structures, and energies, forces, stress and direct
forces in float64. `test_metatrain.py` compares them with the converted models. The checkpoints of
earlier versions that metatrain has among its own tests are written too.
"""

from __future__ import annotations

import argparse
import copy
import gzip
from pathlib import Path
from typing import Any

import metatensor.torch as mts
import metatrain.pet
import numpy as np
import torch
from ase import Atoms
from metatensor.torch import TensorBlock, TensorMap
from metatomic.torch import ModelOutput
from metatomic_ase import MetatomicCalculator
from metatrain.llpr import LLPRUncertaintyModel
from metatrain.pet import PET
from metatrain.pet.modules.finetuning import apply_finetuning_strategy
from metatrain.utils.architectures import get_default_hypers
from metatrain.utils.data import DatasetInfo
from metatrain.utils.data.target_info import get_energy_target_info, get_generic_target_info

SPECIES = [1, 6, 8, 14, 29, 55]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    for k in range(chosen.count):
        random = np.random.default_rng([chosen.seed, k])
        torch.manual_seed(1000 * chosen.seed + k)
        write(chosen.folder / f"{k:03d}", random)
        print(k, flush=True)
    for packed in sorted((Path(metatrain.pet.__file__).parent / "tests/checkpoints").glob("*.gz")):
        write_old(packed, chosen.folder)


def write_old(packed: Path, folder: Path) -> None:
    """A checkpoint of an earlier version as it is, and the results of the present metatrain."""
    path = folder / packed.name.removesuffix(".gz")
    path.write_bytes(gzip.decompress(packed.read_bytes()))
    content = torch.load(path, weights_only=False)
    model = PET.load_checkpoint(PET.upgrade_checkpoint(content), "export").to(torch.float64)
    random = np.random.default_rng(0)
    structures = [random_structure(model.atomic_types, random, model.hypers) for _ in range(3)]
    save(path, model, "", structures)


def write(path: Path, random: np.random.Generator) -> None:
    hypers = random_hypers(random)
    species = sorted(int(z) for z in random.choice(SPECIES, random.integers(1, 5), replace=False))
    variant = "/pbe" if random.random() < 0.3 else ""
    model = PET(hypers, dataset_info(species, variant, random)).to(torch.float64)
    randomize(model, random)
    if random.random() < 0.2:
        with_adapters(model, random)
    if random.random() < 0.25 and not variant:
        model = with_uncertainties(model, random)
    torch.save(model.get_checkpoint(), path.with_suffix(".ckpt"))
    structures = [random_structure(species, random, hypers) for _ in range(3)]
    structures.append(Atoms(numbers=species[:1]))
    save(path, model, variant, structures)


def save(
    path: Path, model: PET | LLPRUncertaintyModel, variant: str, structures: list[Atoms]
) -> None:
    calculator = MetatomicCalculator(
        model.export(), variants={"energy": "pbe" if variant else None}
    )
    found: dict[str, Any] = {"variant": variant.strip("/")}
    for k, atoms in enumerate(structures):
        for name, values in results(calculator, atoms).items():
            found[f"{k}_{name}"] = values
    np.savez(path.with_suffix(".npz"), count=len(structures), **found)


def with_adapters(model: PET, random: np.random.Generator) -> None:
    """Fine-tuned by low-rank adapters (LoRA)."""
    strategy = {"method": "lora", "config": {"rank": 2, "alpha": 6.0}, "inherit_heads": {}}
    apply_finetuning_strategy(model, strategy)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            values = 0.3 * random.normal(size=tuple(parameter.shape))
            parameter.data[:] = torch.from_numpy(values)


def with_uncertainties(model: PET, random: np.random.Generator) -> LLPRUncertaintyModel:
    """Wrapped, with a random covariance of the last-layer features."""
    info = DatasetInfo("Angstrom", model.atomic_types, dict(model.dataset_info.targets))
    wrapped = LLPRUncertaintyModel({"num_ensemble_members": {}}, info)
    wrapped.set_wrapped_model(model)
    for name, values in wrapped.named_buffers():
        if name.startswith("cholesky_"):
            lower = np.tril(random.normal(size=tuple(values.shape)) * 0.1)
            values[:] = torch.from_numpy(lower + np.eye(len(lower)))
        elif name.startswith("multiplier_"):
            values[:] = float(random.uniform(0.5, 2.0))
    return wrapped.to(torch.float64)


def random_hypers(random: np.random.Generator) -> dict[str, Any]:
    def one_of(*values: Any) -> Any:
        return values[random.integers(len(values))]

    hypers = copy.deepcopy(get_default_hypers("pet")["model"])
    width = one_of(4, 8, 12)
    hypers.update(
        cutoff=one_of(3.0, 4.5, 6.0),
        cutoff_width=one_of(0.2, 0.5, 1.0),
        cutoff_function=one_of("Bump", "Cosine"),
        num_neighbors_adaptive=one_of(None, None, 4, 10),
        adaptive_cutoff_method=one_of("solver", "grid"),
        cutoff_width_adaptive=one_of(0.5, 1.0),
        d_pet=width,
        d_head=one_of(4, 6),
        d_node=one_of(width, 2 * width, 4 * width),
        d_feedforward=one_of(8, 10),
        num_heads=one_of(1, 2, 4),
        num_attention_layers=one_of(1, 2),
        num_gnn_layers=one_of(1, 2, 3),
        normalization=one_of("RMSNorm", "LayerNorm"),
        activation=one_of("SwiGLU", "SiLU"),
        transformer_type=one_of("PreLN", "PostLN"),
        featurizer_type=one_of("feedforward", "residual"),
        attention_temperature=one_of(1.0, 1.0, 0.7),
        zbl=one_of(False, True),
        system_conditioning=one_of(False, False, True),
    )
    return hypers


def dataset_info(species: list[int], variant: str, random: np.random.Generator) -> DatasetInfo:
    targets = {}
    for name in ("energy", f"energy{variant}"):
        targets[name] = get_energy_target_info(name, {"quantity": "energy", "unit": "eV"})
    for name, quantity, unit, rank, kind in (
        ("non_conservative_forces", "force", "eV/Angstrom", 1, "atom"),
        ("non_conservative_stress", "pressure", "eV/Angstrom^3", 2, "system"),
    ):
        if random.random() < 0.5:
            targets[f"{name}{variant}"] = get_generic_target_info(
                f"{name}{variant}",
                {
                    "quantity": quantity,
                    "unit": unit,
                    "type": {"cartesian": {"rank": rank}},
                    "num_subtargets": 1,
                    "sample_kind": kind,
                    "description": "",
                },
            )
    return DatasetInfo(length_unit="Angstrom", atomic_types=species, targets=targets)


def randomize(model: PET, random: np.random.Generator) -> None:
    """Scales, energies of atoms, and what metatrain starts at zero or one."""
    for name, parameter in model.named_parameters():
        if "norm" in name or "system_conditioning" in name or name.endswith("bias"):
            noise = torch.from_numpy(random.normal(size=parameter.shape)) * 0.3
            parameter.data += noise.to(parameter.dtype)
    composition = model.additive_models[0]
    for name, values in model.named_buffers():
        full = name.endswith("_scaler_buffer") and "_per_" not in name
        if full or name.endswith("_composition_buffer"):
            table = mts.load_buffer(values)
            owner = composition if name.startswith("additive") else model.scaler
            setattr(owner, name.rpartition(".")[2], mts.save_buffer(other_values(table, random)))
    composition.sync_tensor_maps()
    model.scaler.sync_tensor_maps()


def other_values(table: TensorMap, random: np.random.Generator) -> TensorMap:
    blocks = [
        TensorBlock(
            torch.from_numpy(random.uniform(0.5, 2.0, size=tuple(block.values.shape))),
            block.samples,
            block.components,
            block.properties,
        )
        for block in table.blocks()
    ]
    return mts.make_contiguous(TensorMap(table.keys, blocks))


def random_structure(
    species: list[int], random: np.random.Generator, hypers: dict[str, Any]
) -> Atoms:
    count = int(random.integers(2, 12))
    periodic = bool(random.random() < 0.5)
    cell = np.diag(random.uniform(3.5, 6.0, 3)) + random.uniform(-0.8, 0.8, (3, 3))
    positions: list[np.ndarray] = []
    while len(positions) < count:
        new = random.uniform(0.0, 1.0, 3) @ cell
        if all(np.linalg.norm(new - x) > 0.9 for x in positions):
            positions.append(new)
        elif random.random() < 0.02:
            break
    atoms = Atoms(random.choice(species, len(positions)), positions)
    if periodic:
        atoms.set_cell(cell)
        atoms.pbc = True
    if hypers["system_conditioning"]:
        atoms.info["charge"], atoms.info["spin"] = (
            int(random.integers(-3, 4)),
            int(random.integers(1, 5)),
        )
    return atoms


def results(calculator: MetatomicCalculator, atoms: Atoms) -> dict[str, np.ndarray]:
    atoms = atoms.copy()
    atoms.calc = calculator
    found = {
        "numbers": atoms.numbers,
        "positions": atoms.positions,
        "cell": atoms.cell.array,
        "pbc": atoms.pbc,
        "energy": atoms.get_potential_energy(),
        "energies": atoms.get_potential_energies(),
        "forces": atoms.get_forces(),
    }
    for key in ("charge", "spin"):
        if key in atoms.info:
            found[key] = atoms.info[key]
    if atoms.pbc.all():
        found["stress"] = atoms.get_stress(voigt=False)
    wanted = {}
    for name in calculator._model.capabilities().outputs:
        if name.startswith("non_conservative_forces"):
            wanted[name] = ModelOutput(sample_kind="atom")
        elif name.startswith("non_conservative_stress") or name == "energy_uncertainty":
            wanted[name] = ModelOutput(sample_kind="system")
    for name, table in (calculator.run_model(atoms, wanted) if wanted else {}).items():
        values = table.block().values.detach().numpy().squeeze(-1)
        found["uncertainty" if "uncertainty" in name else name.partition("/")[0]] = values
    return found


if __name__ == "__main__":
    main()
