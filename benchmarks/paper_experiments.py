"""Experiments of `paper.py`: data, network and loss of each, as options of `pet-driver train`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ase.io
import yaml

MODELS = Path(__file__).resolve().parent.parent / "pet_driver" / "models"
METHANE_SIZES = (100, 200, 400, 800)
SEEDS = 3  # of the experiments that are repeated
# Half as wide as the shipped models: short trainings come farther with fewer weights.
SMALL = {"width": 32, "node_width": 64, "feedforward_width": 64, "head_width": 32, "heads": 2}


@dataclass(frozen=True)
class Experiment:
    """One data set and one network, trained plain and exact.

    study: of the paper; folder: of the data; data, model, fit: what differs from the base of its
    options; count: number of training frames, None: all that are not held out; energies_only: leave
    the forces out; seeds: number of trainings with different seeds.
    """

    study: str
    name: str
    folder: str
    data: Mapping[str, Any]
    model: Mapping[str, Any] = field(default_factory=dict)
    fit: Mapping[str, Any] = field(default_factory=dict)
    count: int | None = None
    energies_only: bool = False
    seeds: int = 1

    def options(self, name: str, exact: bool, seed: int, minutes: float) -> dict[str, Any]:
        """Content of an options file."""
        base = yaml.safe_load((MODELS / "water.yaml").read_text())
        scope = {"scope": "layer", "frames": "speed"} if exact else {"scope": "none"}
        model = {**base["model"], **SMALL, **self.model, **scope}
        if not exact:
            model.pop("frames", None)
        timed = {"schedule": "time", "max_time": 60.0 * minutes, "steps": 10**8, "seed": seed}
        # Left to the training, which knows how many frames atoms have, and the device.
        scope_fit: dict[str, Any] = {"sampled_share": None}
        if not exact:
            scope_fit["symmetrization_weight"] = 0.0
        return {
            "name": name,
            "data": dict(self.data),
            "model": model,
            "fit": {**base["fit"], **self.fit, **scope_fit, **timed},
        }

    def prepare(self, data_folder: Path, work: Path) -> Path:
        """Folder with the files that the options name; parts of files are written into ``work``."""
        source = data_folder / self.folder
        if self.count is None and not self.energies_only:
            return source
        work.mkdir(parents=True, exist_ok=True)
        names = {key: self.data[key] for key in ("file", "test")}
        most = None if self.count is None else self.count + self.data["validation"]
        for key, name in names.items():
            frames = ase.io.read(source / name, index=":", format="extxyz")
            for atoms in frames if self.energies_only else ():
                energy = atoms.get_potential_energy()
                atoms.calc = None
                atoms.info["energy"] = energy
            kept = frames[:most] if key == "file" else frames
            ase.io.write(work / name, kept, format="extxyz")
        return work


def experiments() -> Iterator[Experiment]:
    """All experiments: different data first, in case not all are trained."""
    yield from solids()
    yield dipoles()
    yield from water_cutoffs()
    yield from methane()
    yield from water_layers()


def dipoles() -> Experiment:
    """Energies, forces and dipoles of dipeptides."""
    return Experiment(
        "dipoles",
        "dipeptides",
        "spice_dipeptides",
        {
            "file": "spice-dipep-dipolar_train.xyz.gz",
            "test": "spice-dipep-dipolar_val.xyz.gz",
            "validation": 40,
            "forces_key": "force",
            "property_keys": {"dipole": "dipole"},
            "property_units": {"dipole": "e*angstrom"},
            "seed": 7,
        },
        {"properties": {"dipole": 1}},
        {"batch_size": 4, "energy_weight": 20.0},
    )


def water(study: str, name: str, model: Mapping[str, Any], seeds: int = 1) -> Experiment:
    """Liquid water, with a network that differs from the shipped one in some hyperparameters."""
    data = {
        "file": "train_418.xyz.gz",
        "validation": 30,
        "test": 40,
        "never_held_out": [344],
        "seed": 7,
    }
    folder, fit = "water_cheng_revpbe0d3", {"batch_size": 1}
    return Experiment(f"water, {study}", f"water, {name}", folder, data, model, fit, seeds=seeds)


def water_cutoffs() -> Iterator[Experiment]:
    """Liquid water with different cutoffs."""
    for cutoff in (4.25, 3.5, 5.0):
        seeds = SEEDS if cutoff == 4.25 else 1
        yield water("cutoff", f"cutoff {cutoff}", {"cutoff": cutoff}, seeds)


def water_layers() -> Iterator[Experiment]:
    """Liquid water with message and attention layers at a constant product."""
    for product, counts in ((4, (1, 2, 4)), (12, (1, 2, 3))):
        for count in counts:
            shape = {"message_layers": count, "attention_layers": product // count}
            yield water("layers", f"{count} x {product // count} layers", shape)


def methane() -> Iterator[Experiment]:
    """Random CH4: learning curves with energies only, and with forces."""
    data = {
        "file": "pet_example_methane_train.xyz",
        "test": "pet_example_methane_val.xyz",
        "validation": 20,
        "seed": 7,
    }
    model = {"cutoff": 5.0}  # all pairs
    for energies_only in (True, False):
        kind = "energies" if energies_only else "energies and forces"
        some = {"may_lack": ["forces"]} if energies_only else {}
        fit = {"batch_size": 16, "energy_weight": 10.0, "energy_ramp": 0.0 if energies_only else 2}
        for count in METHANE_SIZES:
            yield Experiment(
                f"methane, {kind}",
                f"methane, {kind}, {count} frames",
                "methane_random",
                {**data, **some},
                model,
                fit,
                count,
                energies_only,
            )


def solids() -> Iterator[Experiment]:
    """High-entropy alloys, silicon and lithium, with stress."""
    data = {"stress_key": "stress", "validation": 10, "test": 30, "seed": 7}
    fit = {"batch_size": 1, "energy_weight": 60.0, "stress_weight": 5.0, "weight_decay": 0.1}
    silicon = {**data, "file": "Si_training.xyz.gz", "group_key": "group", "validation": 20}
    lithium = {**data, "file": "Li_training.xyz.gz", "group_key": "group", "validation": 20}
    alloys = {**data, "file": "hea_samples_bulk.xyz", "test": 20}
    yield Experiment("solids", "alloys of 25 elements", "hea25", alloys, {"cutoff": 4.5}, fit)
    wide = {"cutoff": 4.75}
    yield Experiment("solids", "silicon", "mlearn", silicon, wide, fit, seeds=SEEDS)
    yield Experiment("solids", "lithium", "mlearn", lithium, wide, fit)
