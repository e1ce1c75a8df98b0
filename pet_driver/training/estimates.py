"""From what the network says of a batch to comparisons with the labels of its structures."""

from __future__ import annotations

from .accuracy import Comparison, compare
from .data import Frame
from .loss import Estimate
from .scales import Scales


def compare_batch(
    frames: list[Frame], estimate: Estimate, scales: Scales, species: tuple[int, ...]
) -> list[Comparison]:
    """
    :param estimate: of these frames, in units of the network
    :param species: atomic numbers in the order of the baseline
    """
    baseline = dict(zip(species, scales.baseline, strict=True))
    energies = (estimate.energies.detach() * scales.energy).tolist()
    forces = (estimate.forces.detach() * scales.energy).cpu().numpy()
    virials = (estimate.virials.detach() * scales.energy).cpu().numpy()
    outputs = {
        name: (values.detach() * scales.properties[name]).cpu().numpy()
        for name, values in estimate.properties.items()
        if name in scales.ranks
    }
    found, first = [], 0
    for k, frame in enumerate(frames):
        last = first + len(frame.system)
        energy = energies[k] + sum(baseline[int(z)] for z in frame.system.numbers)
        own = {name: values[k] for name, values in outputs.items()}
        found.append(compare(frame, energy, forces[first:last], virials[k], own))
        first = last
    return found
