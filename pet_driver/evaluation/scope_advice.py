"""What a scope other than that of training changes: outputs that it lacks, and warnings."""

from __future__ import annotations

import warnings

from ..model import Hyperparameters


def warn_about_scope(name: str, hyper: Hyperparameters, scope: str) -> None:
    """Warn where a scope changes the errors of a model or lacks some of its outputs.

    :param name: of the model
    :param hyper: of its network
    :param scope: of the evaluation
    """
    advice = scope_advice(hyper.scope, scope, hyper.exchanges)
    if advice:
        warnings.warn(
            f"{name} was trained with scope {hyper.scope!r} and runs with {scope!r}: {advice}",
            stacklevel=4,
        )
    available = outputs_in_scope(hyper, scope)
    lost = ", ".join(output for output, _ in hyper.properties if output not in available)
    if lost:
        warnings.warn(
            f"{name} has no {lost} in scope {scope!r}: this scope's readout features are "
            "invariant; use scope atom or structure",
            stacklevel=4,
        )


def outputs_in_scope(hyper: Hyperparameters, scope: str) -> dict[str, int]:
    """Ranks of the covariant outputs that a model has in a scope, by name.

    In scope "layer" a model that combines messages after its last layer reads invariants out.
    """
    if scope == "layer" and hyper.foreign.final_combination:
        return {}
    return dict(hyper.properties)


def scope_advice(trained: str, chosen: str, exchanges: int) -> str | None:
    """How a scope other than that of training changes the errors; None: it does not.

    :param trained: scope of training
    :param chosen: scope of evaluation
    :param exchanges: how often the network exchanges messages
    """
    if chosen == trained or (not exchanges and {trained, chosen} == {"layer", "atom"}):
        return None
    if trained == "none" and chosen != "layer":
        return (
            "an average over orientations, exactly invariant; the errors of the model card hold "
            "approximately"
        )
    if trained == "none" and not exchanges:
        return (
            "an average over frames, exactly invariant; the errors of the model card hold "
            "approximately"
        )
    if trained == "none":
        return (
            "its messages are averaged over frames, which they were not in training: forces differ "
            "from the model's average over orientations by about as much as plain ones, more where "
            "the symmetrization force is large; `pet-driver symmetrize` tunes the weights to this "
            "scope without labels"
        )
    if chosen == "none":
        return "the energy depends on the orientation and the errors of the model card do not apply"
    return (
        "its messages are no longer averaged over frames, as they were in training: the errors of "
        "the model card do not apply"
    )
