"""Where a training starts: the shape of the network, its weights and scales, anew or from a model
file.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from ase.data import chemical_symbols
from torch import Tensor

from ..errors import PetDriverError
from ..files.checkpoint import Checkpoint, load_checkpoint
from ..model import PET, Hyperparameters
from .baseline import fit_baseline, force_scale, property_scales
from .data import Frame, Split, species_of
from .options import TrainingOptions
from .scales import Scales

# What a model may change when it is trained further: no weight depends on it, or only a head's.
_MAY_CHANGE = {"scope", "frames", "properties"}
_FRAMES_FOR_BASELINE = 200


@dataclass
class Start:
    """What a training begins with; origin: the model that the weights come from, None: random."""

    hyper: Hyperparameters
    network: PET
    scales: Scales
    origin: Checkpoint | None = None


def load_origin(options: TrainingOptions) -> Checkpoint | None:
    """The model that is trained further, if the options name one."""
    return None if options.fit.start_from is None else load_checkpoint(options.fit.start_from)


def hyperparameters(
    options: TrainingOptions, origin: Checkpoint | None, species: tuple[int, ...]
) -> Hyperparameters:
    """
    :param species: of the data
    :raises PetDriverError: if the section model is not valid, or does not fit the model to start
        from
    """
    given = dict(options.model)
    try:
        if origin is None:
            return Hyperparameters.from_dict({**given, "species": species})
        before = origin.hyper.to_dict()
        after = Hyperparameters.from_dict({**before, **given})
    except (ValueError, TypeError) as error:
        raise PetDriverError(f"the section model is not valid: {error}") from error
    for key in given:
        if key not in _MAY_CHANGE and getattr(after, key) != getattr(origin.hyper, key):
            raise PetDriverError(
                f"model.{key} is {given[key]!r}, but {origin.name}, where the weights come from, "
                f"has {before[key]!r}; leave it out"
            )
    unknown = sorted(set(species) - set(after.species))
    if unknown:
        names = " ".join(chemical_symbols[z] for z in unknown)
        raise PetDriverError(
            f"the data contain {names}, which {origin.name} does not know; start from another "
            "model, or without one"
        )
    return after


def begin(
    options: TrainingOptions,
    hyper: Hyperparameters,
    origin: Checkpoint | None,
    split: Split,
    device: torch.device,
) -> Start:
    """Random weights and scales of the data, or those of a model file."""
    torch.manual_seed(options.fit.seed)
    network = PET(hyper).to(device)
    ranks = {name: dict(hyper.properties)[name] for name in options.data.property_keys}
    if origin is None:
        baseline = fit_baseline(split.training, hyper.species)
        energy = force_scale(split.training, baseline, hyper.species)
        outputs = property_scales(split.training, list(ranks))
        return Start(hyper, network, Scales(baseline, energy, outputs, ranks))
    _load(network, origin.weights, origin.name)
    outputs = {**property_scales(split.training, list(ranks)), **origin.property_scales}
    scales = Scales(list(origin.baseline), origin.energy_scale, outputs, ranks)
    return Start(hyper, network, scales, origin)


def _load(network: PET, weights: dict[str, Tensor], name: str) -> None:
    """Weights of another network; heads that it has not stay random, heads that are not wanted are
    left out.
    """
    wanted = network.state_dict()
    shared = {k: v for k, v in weights.items() if k in wanted}
    lost = [k for k in weights if k not in wanted and not k.startswith("property_heads.")]
    missing = [k for k in wanted if k not in weights and not k.startswith("property_heads.")]
    try:
        if lost or missing:
            raise RuntimeError(f"{(lost + missing)[0]} is in one of them only")
        network.load_state_dict({**wanted, **shared})
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise PetDriverError(f"the weights of {name} do not fit ({reason}); get it anew") from error


def some_of_all_species(frames: list[Frame]) -> list[Frame]:
    """At most about 200 frames, evenly chosen, in which every element of all frames occurs."""
    chosen = frames[:: max(len(frames) // _FRAMES_FOR_BASELINE, 1)]
    seen = set(species_of(chosen))
    for frame in frames:
        new = {int(z) for z in frame.system.numbers} - seen
        if new:
            chosen.append(frame)
            seen |= new
    return chosen


def shifted_baseline(
    scales: Scales, frames: list[Frame], predicted: np.ndarray, species: tuple[int, ...]
) -> Scales:
    """Scales with a baseline that takes up what a model misses in other energies than its own.

    :param predicted: (n_frames,), energies with the present baseline, eV
    """
    shift = fit_baseline(frames, species, predicted)
    baseline = [a + b for a, b in zip(scales.baseline, shift, strict=True)]
    return dataclasses.replace(scales, baseline=baseline)
