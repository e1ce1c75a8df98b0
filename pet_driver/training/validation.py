"""Validation: predictions of a network compared with the labels of frames."""

from __future__ import annotations

from collections.abc import Sequence

from ..evaluation.evaluation import EvaluationRequest
from ..model import PET
from ..runtime.devices import free_memory
from .accuracy import Comparison, compare
from .batches import Batches
from .data import Frame
from .loss import predict
from .order import grouped
from .scales import Scales
from .values import BatchValues
from .workers import Workers

_ATOMS_PER_BATCH = 400
_MEMORY_SHARE = 0.5  # of the free memory


def compare_frames(
    network: PET,
    frames: Sequence[Frame],
    batches: Batches,
    species: tuple[int, ...],
    workers: Workers,
) -> list[Comparison]:
    """Predictions beside labels, one comparison per frame.

    Each process evaluates its share of the frames; all of them get the comparisons of all.

    :param species: atomic numbers in the order of the baseline
    :raises PetDriverError: if another process has ended
    """
    own = frames[workers.share([len(frame.system) for frame in frames])]
    # Structures that are not trained on may be larger than those that are.
    request = EvaluationRequest(memory=int(_MEMORY_SHARE * free_memory(batches.device)))
    found: list[Comparison] = []
    for positions in grouped([len(frame.system) for frame in own], 1, _ATOMS_PER_BATCH):
        part = [own[k] for k in positions]
        graph, _ = batches.make(part)
        predicted = predict(network, graph, request, batches.scales.energy)
        found += compare_batch(part, predicted, batches.scales, species)
    return workers.gather(found)


def compare_batch(
    frames: list[Frame], predicted: BatchValues, scales: Scales, species: tuple[int, ...]
) -> list[Comparison]:
    """Compare predictions with labels, structure by structure.

    :param predicted: of these frames, in units of the network
    :param species: atomic numbers in the order of the baseline
    """
    baseline = dict(zip(species, scales.baseline, strict=True))
    energies = (predicted.energies.detach() * scales.energy).tolist()
    forces = (predicted.forces.detach() * scales.energy).cpu().numpy()
    virials = (predicted.virials.detach() * scales.energy).cpu().numpy()
    outputs = {
        name: (values.detach() * scales.properties[name]).cpu().numpy()
        for name, values in predicted.properties.items()
        if name in scales.ranks
    }
    through_frames = None
    if predicted.symmetrization_forces is not None:
        through_frames = (predicted.symmetrization_forces.detach() * scales.energy).cpu().numpy()
    found, first = [], 0
    for k, frame in enumerate(frames):
        last = first + len(frame.system)
        energy = energies[k] + sum(baseline[int(z)] for z in frame.system.numbers)
        own = {name: values[k] for name, values in outputs.items()}
        comparison = compare(frame, energy, forces[first:last], virials[k], own)
        if through_frames is not None:
            comparison.symmetrization = through_frames[first:last]
        found.append(comparison)
        first = last
    return found
