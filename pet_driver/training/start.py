"""Start of a training: hyperparameters, weights and scales, new or from a model file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from ase.data import chemical_symbols
from numpy.typing import NDArray
from torch import Tensor

from ..errors import PetDriverError
from ..evaluation.repulsion import Repulsion
from ..files.checkpoint import Checkpoint, load_checkpoint
from ..frames import NAMED_CONSTANTS
from ..graph import TOO_CLOSE, ChargeAndSpin, find_edges, graph_of_edges, species_indices
from ..model import PET, Hyperparameters
from .baseline import fit_baseline, force_scale, property_scales
from .data import Frame, Split, species_of, thinned
from .options import TrainingOptions
from .scales import Scales

# What a model may change when it is trained further: no weight depends on it, or only a head's.
_MAY_CHANGE = {"scope", "frames", "properties", "zbl_radii"}
_FRAMES = "speed"  # name of the frame constants of new models, unless the options give others
_HEADS = "property_heads."
_FRAMES_FOR_BASELINE = 200


def load_origin(options: TrainingOptions) -> Checkpoint | None:
    """Load the model that is trained further, if the options name one.

    :raises PetDriverError: if there is no such model file, or it is not valid
    """
    return None if options.fit.start_from is None else load_checkpoint(options.fit.start_from)


def property_ranks(options: TrainingOptions, origin: Checkpoint | None) -> dict[str, int]:
    """Ranks of the covariant outputs, of the model to start from and of the options, by name.

    :raises PetDriverError: if there are labels of an output that the model lacks
    """
    ranks = dict(origin.hyper.properties) if origin else {}
    if options.model.get("properties") is not None:
        ranks = dict(options.model["properties"])
    for name, rank in ranks.items():
        if rank not in (1, 2) or not isinstance(rank, int):
            raise PetDriverError(
                f"model.properties gives {name!r} the rank {rank!r}; use 1 for a vector, 2 for a "
                "tensor"
            )
    for name in options.data.property_keys:
        if name not in ranks:
            raise PetDriverError(
                f"data.property_keys names {name!r}, which the model does not have; add it to "
                "model.properties with its rank, 1 for a vector"
            )
    kept = dict(origin.hyper.properties) if origin else {}
    for name in ranks:
        if name not in options.data.property_keys and name not in kept:
            raise PetDriverError(
                f"model.properties names {name!r}, which would stay random without labels; name "
                "their key in data.property_keys"
            )
    return ranks


def check_species(split: Split, origin: Checkpoint | None) -> None:
    """Check that all elements can be learned.

    :raises PetDriverError: if one occurs in held-out structures only
    """
    known = {*species_of(split.training), *(origin.hyper.species if origin else ())}
    missing = [
        chemical_symbols[number] for number in species_of(split.frames) if number not in known
    ]
    if missing:
        raise PetDriverError(
            f"{', '.join(missing)} occurs in validation or test structures only, so no model can "
            "learn it; keep a structure with it in training (data.never_held_out), or leave it out"
        )


def check_frames(split: Split, hyper: Hyperparameters, patience: int = 0) -> None:
    """Check what a batch would stop at, before the first step.

    :param patience: number of validations without a lower error that end the training, 0: none
    :raises PetDriverError: if two atoms coincide, the model does not know a charge or spin, or no
        structure to train on has a label
    """
    if not any(frame.labels.has_any for frame in split.training):
        raise PetDriverError(
            "no structure to train on has any label; correct the keys of the labels in data"
        )
    if patience and not any(frame.labels.has_any for frame in split.validation):
        raise PetDriverError(
            f"fit.patience is {patience}, but no structure to validate on has a label; leave it "
            "out, or correct the keys of the labels"
        )
    known = ChargeAndSpin(hyper.foreign.largest_charge, hyper.foreign.largest_spin)
    for frame in split.frames:
        try:
            find_edges(frame.system, TOO_CLOSE)
            if hyper.foreign.largest_spin:
                known.of(frame.system)
        except PetDriverError as error:
            raise PetDriverError(f"frame {frame.index} of {frame.source}: {error}") from error


def hyperparameters(
    options: TrainingOptions, origin: Checkpoint | None, species: tuple[int, ...]
) -> Hyperparameters:
    """Hyperparameters of the section model, or of the model to start from with few changes.

    :param species: atomic numbers of the data
    :raises PetDriverError: if the section model is not valid, or does not fit the model to start
        from
    """
    given = dict(options.model)
    try:
        if origin is None:
            frames = NAMED_CONSTANTS[_FRAMES].to_dict()
            return Hyperparameters.from_dict({"frames": frames, **given, "species": species})
        before = origin.hyper.to_dict()
        after = Hyperparameters.from_dict({**before, **given})
    except (ValueError, TypeError) as error:
        raise PetDriverError(f"the section model is not valid: {error}") from error
    _check_changes(given, before, after.to_dict(), origin.name)
    unknown = sorted(set(species) - set(after.species))
    if unknown:
        names = " ".join(chemical_symbols[z] for z in unknown)
        raise PetDriverError(
            f"the data contain {names}, which {origin.name} does not know; start from another "
            "model, or without one"
        )
    return after


def _check_changes(
    given: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any], origin: str
) -> None:
    """Refuse changes of hyperparameters that weights depend on.

    :param given: hyperparameters in the options
    :param before: all of the model to start from; after: with those of the options
    """
    for key in given:
        if key not in _MAY_CHANGE and after[key] != before[key]:
            raise PetDriverError(
                f"model.{key} is {given[key]!r}, but {origin}, where the weights come from, "
                f"has {before[key]!r}; leave it out"
            )


def initial_network(
    hyper: Hyperparameters, origin: Checkpoint | None, seed: int, device: torch.device
) -> PET:
    """A network with random weights, or with those of a model file.

    :raises PetDriverError: if the weights do not fit the hyperparameters
    """
    torch.manual_seed(seed)
    network = PET(hyper).to(device)
    if origin is not None:
        _load(network, origin.weights, origin.name)
    return network


def initial_scales(
    options: TrainingOptions,
    hyper: Hyperparameters,
    origin: Checkpoint | None,
    frames: list[Frame],
) -> Scales:
    """Baseline and scales of the training frames, or those of a model file.

    The baseline of a new model is fitted to the energies minus the repulsion of nuclei.

    :raises PetDriverError: if all forces are zero, or a label belongs to an output whose scale
        differs from element to element
    """
    known = dict(hyper.properties)
    ranks = {name: known[name] for name in options.data.property_keys}
    outputs = property_scales(frames, list(ranks))
    if origin is None:
        baseline = fit_baseline(frames, hyper.species, repulsion_energies(frames, hyper))
        energy = force_scale(frames, baseline, hyper.species)
        return Scales(baseline, energy, outputs, ranks)
    unlabelled: dict[str, float | list[float]] = {}
    for name, scale in origin.property_scales.items():
        if name not in ranks:
            if name in known:
                unlabelled[name] = scale
        elif isinstance(scale, list):
            raise PetDriverError(
                f"data.property_keys names {name!r}, which {origin.name} scales element by "
                "element; leave it out"
            )
        else:
            outputs[name] = scale
    units = dict(origin.property_units)
    return Scales(list(origin.baseline), origin.energy_scale, outputs, ranks, unlabelled, units)


def repulsion_energies(frames: list[Frame], hyper: Hyperparameters) -> NDArray[np.float64] | None:
    """Energies of the repulsion of nuclei, (n_frames,), eV; None if the model adds none."""
    repulsion = Repulsion.of(hyper, torch.device("cpu"))
    if repulsion is None:
        return None
    found = []
    for frame in frames:
        species = species_indices(frame.system.numbers, hyper.species)
        edges = find_edges(frame.system, hyper.neighbor_cutoff)
        energies, _ = repulsion.energies(graph_of_edges([species], [edges], torch.device("cpu")))
        found.append(float(energies.sum()))
    return np.array(found)


def _load(network: PET, weights: dict[str, Tensor], name: str) -> None:
    """Copy the weights of another network.

    Heads of covariant outputs that it lacks stay random, those that are not wanted are left out.
    """
    wanted = network.state_dict()
    shared = {k: v for k, v in weights.items() if k in wanted}
    lost = [k for k in weights if k not in wanted and not k.startswith(_HEADS)]
    missing = [k for k in wanted if k not in weights and not k.startswith(_HEADS)]
    try:
        if lost or missing:
            raise RuntimeError(f"{(lost + missing)[0]} is in one of them only")
        network.load_state_dict({**wanted, **shared})
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise PetDriverError(f"the weights of {name} do not fit ({reason}); get it anew") from error


def frames_with_all_species(frames: list[Frame]) -> list[Frame]:
    """At most 200 frames with energies, evenly chosen, and further ones for every element."""
    frames = [frame for frame in frames if frame.labels.energy is not None]
    chosen = thinned(frames, _FRAMES_FOR_BASELINE)
    seen = set(species_of(chosen))
    for frame in frames:
        new = {int(z) for z in frame.system.numbers} - seen
        if new:
            chosen.append(frame)
            seen |= new
    return chosen
