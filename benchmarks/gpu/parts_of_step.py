"""Time of each part of an evaluation, with a synchronization at the end of each."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from card import wait
from settings import Settings

from pet_driver.runtime.stopwatch import Stopwatch

# Where each part is done. What is not found is recorded as such, and its time is among the rest.
PARTS: dict[str, tuple[str, ...]] = {
    "lists": ("pet_driver.graph.verlet_cache:VerletCache.listed",),
    "upload": (
        "pet_driver.graph.structure_graphs:graph_of_edges",
        "pet_driver.evaluation.resident_steps:ResidentSteps._upload",
    ),
    "cutoffs": ("pet_driver.evaluation.scopes:truncate",),
    "frames": ("pet_driver.evaluation.scopes:Evaluator._frames",),
    "network": ("pet_driver.model.pet:PET.forward",),
    "backward": ("pet_driver.evaluation.scopes:_gradients",),
    # All of the device's work, where kernels are recorded; else its parts.
    "recorded": ("pet_driver.runtime.recorded_kernels:RecordedKernels.__call__",),
    "download": (
        "pet_driver.evaluation.potential:forces_and_virials",
        "pet_driver.evaluation.prediction:Prediction.of",
        "pet_driver.evaluation.prediction:Prediction.unpacked",
    ),
}


@contextmanager
def measured(settings: Settings) -> Iterator[Stopwatch]:
    """Context in which each part adds its seconds to a stopwatch; inner parts count for themselves.

    The yielded stopwatch has the name of a part that was not found among its ``seconds``, with NaN.
    """
    watch = Stopwatch()
    replaced: list[tuple[Any, str, Any]] = []
    try:
        for part, places in PARTS.items():
            for place in places:
                found = _find(place)
                if found is None:
                    watch.seconds[part] = float("nan")
                    continue
                owner, name, original = found
                replaced.append(found)
                setattr(owner, name, _timed(settings, watch, part, owner, original))
        yield watch
    finally:
        for owner, name, original in replaced:
            setattr(owner, name, original)


def _find(place: str) -> tuple[Any, str, Any] | None:
    """Owner, name and value of "module:Class.name"; None if it is not there."""
    module, _, path = place.partition(":")
    *above, name = path.split(".")
    try:
        owner: Any = importlib.import_module(module)
        for part in above:
            owner = getattr(owner, part)
        # As it is stored: a class method must be put back as one.
        return owner, name, vars(owner)[name]
    except (ImportError, AttributeError, KeyError):
        return None


def _timed(settings: Settings, watch: Stopwatch, part: str, owner: object, original: Any) -> Any:  # noqa: ANN401
    """Stand-in for a function or a method that measures its time."""
    of_class = isinstance(original, classmethod)
    function: Callable[..., Any] = original.__get__(None, owner) if of_class else original

    def stand_in(*args: Any, **keywords: Any) -> Any:  # noqa: ANN401
        wait(settings)
        with watch.measure(part):
            result = function(*args, **keywords)
            wait(settings)
        return result

    return staticmethod(stand_in) if of_class else stand_in
