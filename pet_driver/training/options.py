"""Options of a training; `options_file` reads and checks them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def _choice(default: str, *others: str) -> Any:  # noqa: ANN401 (what `field` returns)
    return field(default=default, metadata={"choices": (default, *others)})


@dataclass(frozen=True)
class DataOptions:
    """Data files, keys and units of the labels, and the split.

    ``file``: one extxyz file or a list of them, relative to the options file or to the folder given
    on the command line. ``validation`` and ``test``: numbers of frames, drawn with ``seed``, or
    files of their own; ``never_held_out``: positions of frames (from 0, counted through all files)
    that stay in training even if drawn, such as the only one with some kind of molecule. Labels are
    found under the keys; ``stress_key`` and ``property_keys`` (name of a covariant output of the
    model: key) are given only if there are such labels. ``may_lack`` names labels that not all
    frames have: energy, forces, stress, or a covariant output.

    Units: ``forces_unit`` and ``stress_unit`` follow from the units of energy and length if they
    are not given. A stress is positive under tension (ASE, eV/angstrom^3); ``stress_kind: virial``
    means -stress times volume, an energy; ``stress_sign: -1`` reverses either sign.
    ``property_units`` are written into the model file. ``group_key``: key of the name by which
    frames are grouped in tables of errors; without it they are grouped by composition.
    """

    file: str | tuple[str, ...]
    energy_key: str = "energy"
    forces_key: str = "forces"
    stress_key: str | None = None
    property_keys: dict[str, str] = field(default_factory=dict)
    group_key: str | None = None
    energy_unit: str = "eV"
    length_unit: str = "angstrom"
    forces_unit: str | None = None
    stress_unit: str | None = None
    stress_kind: str = _choice("stress", "virial")
    stress_sign: int = 1
    property_units: dict[str, str] = field(default_factory=dict)
    may_lack: tuple[str, ...] = ()
    validation: int | str | tuple[str, ...] = 40
    test: int | str | tuple[str, ...] = 40
    never_held_out: tuple[int, ...] = ()
    seed: int = 0


@dataclass(frozen=True)
class FitOptions:
    """Loss, schedule, optimizer and starting point.

    The learning rate rises over ``warmup_steps`` and then falls along a cosine to zero at
    ``steps``, or with ``schedule: time`` at ``max_time`` (seconds) if that comes first. During the
    first part of the training, its share ``sampled_share``, ``frames_drawn`` frames per centre and
    layer are drawn; after that, all frames are averaged. None: 0 on a GPU and where atoms have at
    most three frames on average, as all of them cost little more than one there; else 0.6. With
    ``random_turns`` each drawn frame is turned at random, so that the network sees every
    orientation, not those of frames alone: the symmetrization force becomes small early, but errors
    fall more slowly.

    Weights multiply squared errors in units of the root-mean-square force: of energies per atom,
    force components, virials per atom, and of covariant outputs in units of their root-mean-square
    label. ``energy_variance_weight`` and ``message_variance_weight`` multiply the variances over
    the frames of an atom (in scope "layer", where all frames are averaged or several are drawn), so
    that forces change little where one frame replaces another; ``symmetrization_weight`` multiplies
    the square of the symmetrization force, see `Potential.symmetrization_forces`, of which drawn
    frames show only the part of their turning. The weights of energies and stresses are
    proportional to the share of the training that is done, to the powers ``energy_ramp`` and
    ``stress_ramp`` (0: constant); in the last ``final_share`` of the training that of the energies
    is ``final_energy_weight``. ``atom_energy_weight`` is that of the energies of single atoms
    relative to their mean, which falls linearly to zero; labels by another model have them
    (`pet-driver symmetrize`), data files do not. Huber's deltas are in eV/atom, eV/angstrom and
    eV/atom; ``huber_delta`` is that of the forces.

    ``batch_size``: number of structures; ``batch_atoms``: largest number of atoms instead.
    ``rotate``: rotate structures at random, which plain PET needs (None: if the scope is "none").
    ``precision: bfloat16`` runs the network under autocast. ``optimizer: muon`` uses Muon for the
    matrices between hidden layers and AdamW for all other weights. ``adamw_beta2``: decay of
    AdamW's mean squared gradient per step; a lower one makes steps smaller at once where gradients
    grow. ``patience``: stop after so many validations without a lower error. ``start_from``: path
    of a model file or name of a shipped model whose weights are the first ones; ``baseline: keep``
    keeps its energies per element, instead of fitting them to the new data.
    """

    steps: int = 10_000
    schedule: str = _choice("steps", "time")
    batch_size: int = 2
    batch_atoms: int | None = None
    optimizer: str = _choice("muon", "adamw")
    learning_rate: float = 2e-3
    warmup_steps: int = 200
    weight_decay: float = 1e-4
    adamw_beta2: float = 0.999
    energy_weight: float = 100.0
    atom_energy_weight: float = 0.0
    energy_ramp: float = 2.0
    final_share: float = 0.0
    final_energy_weight: float = 1000.0
    force_weight: float = 1.0
    stress_weight: float = 10.0
    stress_ramp: float = 0.0
    property_weight: float = 1.0
    energy_loss: str = _choice("mse", "huber")
    force_loss: str = _choice("huber", "mse")
    stress_loss: str = _choice("huber", "mse")
    energy_delta: float = 0.02
    huber_delta: float = 1.0
    stress_delta: float = 0.1
    energy_variance_weight: float = 0.0
    message_variance_weight: float = 0.0
    clip_norm: float = 10.0
    ema_decay: float = 0.998
    sampled_share: float | None = None
    frames_drawn: int = 2
    random_turns: bool = False
    symmetrization_weight: float = 1.0
    rotate: bool | None = None
    precision: str = _choice("float32", "bfloat16")
    validate_every: int = 500
    checkpoint_minutes: float = 5.0
    max_time: float | None = None
    patience: int | None = None
    start_from: str | None = None
    baseline: str = _choice("new", "keep")
    seed: int = 0


@dataclass(frozen=True)
class TrainingOptions:
    """Content of an options file; model: hyperparameters by name, card: lines of the model card."""

    name: str
    data: DataOptions
    model: dict[str, Any]
    fit: FitOptions
    card: dict[str, Any] = field(default_factory=dict)
