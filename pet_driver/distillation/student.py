"""The student: the same weights in scope "layer", with those outputs that the scope can have."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ..errors import PetDriverError
from ..files.checkpoint import Checkpoint
from ..files.output_names import DIRECT_FORCES, DIRECT_VIRIAL

_OF_TRAINING = ("errors", "frames", "data")  # entries of a card that do not hold for the student


@dataclass(frozen=True)
class Student:
    """A model in scope "layer" with the weights of a plain one.

    model: to tune; averaged: covariant outputs that the teacher averages and the tuning fits;
    sentences: about outputs that are left behind, or kept without tuning.
    """

    model: Checkpoint
    averaged: tuple[str, ...]
    sentences: tuple[str, ...]

    @classmethod
    def of(cls, origin: Checkpoint) -> Student:
        """The student of a plain model.

        :raises PetDriverError: if the model was trained in scope "layer"
        """
        if origin.hyper.scope != "none":
            raise PetDriverError(
                f"{origin.name} was trained with scope {origin.hyper.scope!r} and is exactly "
                "symmetric already; give a model that was trained plain"
            )
        kept, sentences = _kept(origin)
        names = [name for name, _ in kept]
        scales = {name: origin.property_scales.get(name, 1.0) for name in names}
        averaged = tuple(name for name in names if not isinstance(scales[name], list))
        untuned = [name for name in names if name not in averaged]
        if untuned:
            sentences.append(
                f"{', '.join(untuned)} stays as it is: its scale differs from element to element, "
                "so it is not tuned"
            )
        if origin.uncertainty is not None:
            sentences.append(
                "energy uncertainties are left behind: their matrix belongs to the features of the "
                "plain network"
            )
        model = origin.with_outputs(names)
        model = dataclasses.replace(
            model,
            hyper=dataclasses.replace(model.hyper, scope="layer"),
            card={k: x for k, x in origin.card.items() if k not in _OF_TRAINING},
            property_scales=scales,
            uncertainty=None,
        )
        return cls(model, averaged, tuple(sentences))


def _kept(origin: Checkpoint) -> tuple[list[tuple[str, int]], list[str]]:
    """Names and ranks of the outputs that the student has, and sentences about the others."""
    direct = [n for n, _ in origin.hyper.properties if n in (DIRECT_FORCES, DIRECT_VIRIAL)]
    others = [(n, r) for n, r in origin.hyper.properties if n not in direct]
    sentences = []
    if direct:
        sentences.append(
            f"direct outputs ({', '.join(direct)}) are left behind: the forces of the exact model "
            "are the gradient of its energy"
        )
    if others and origin.hyper.foreign.final_combination:
        names = ", ".join(name for name, _ in others)
        sentences.append(
            f"{names} is left behind: the readout features of this model are invariant in scope "
            "layer, so no direction can be read out of them"
        )
        others = []
    return others, sentences
