"""Division of the structures: to tune on, to choose the best weights by, and to report on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import PetDriverError

FEWEST = 3  # structures: one for each part
_HELD_OUT = 1 / 6  # share of the validation structures, and of the test structures
_MOST_HELD_OUT = 12  # of each part; of runs as many are then drawn from more


@dataclass(frozen=True)
class Parts:
    """Positions in the list of all structures.

    training: to tune on; validation: by which the best weights are chosen; test: for the report.
    """

    training: list[int]
    validation: list[int]
    test: list[int]

    def all(self) -> list[int]:
        """Positions of all parts; those that are held out first."""
        return [*self.test, *self.validation, *self.training]

    def thinned(self, count: int) -> Parts:
        """The same with at most so many structures in all, and some in each part."""
        held = max(min(int(count * _HELD_OUT), _MOST_HELD_OUT), 1)
        test, validation = self.test[:held], self.validation[:held]
        left = max(count - len(test) - len(validation), 1)
        return Parts(self.training[:left], validation, test)


def divided(given: int, runs: Sequence[int], seed: int) -> Parts:
    """Divide structures: given ones at random; of a run the last ones, in time, are held out.

    A sixth of the time of each run is set aside for each held-out part, however many structures of
    it are used in the end (`Parts.thinned`): those between them are much like them.

    :param given: number of given structures; they come first in the list of all
    :param runs: numbers of structures of each run, which follow one another in the list
    :raises PetDriverError: if no structures can be held out
    """
    if given + sum(runs) < FEWEST:
        raise PetDriverError(
            f"there {'is' if given == 1 else 'are'} {given + sum(runs)} structure"
            f"{'' if given == 1 else 's'}, too few to hold some out; give at least {FEWEST}, or "
            "take more from dynamics with --sample 300K:2ps"
        )
    rng = np.random.default_rng(seed)
    training: list[int] = []
    validation: list[int] = []
    test: list[int] = []

    def add(positions: list[int], held: int) -> None:
        end = len(positions)
        training.extend(positions[: end - 2 * held])
        validation.extend(positions[end - 2 * held : end - held])
        test.extend(positions[end - held :])

    # A few given structures beside those of runs are starting points: they stay in training.
    of_runs = max(runs, default=0) >= FEWEST
    enough = given >= (2 * FEWEST if of_runs else FEWEST)
    held = min(_held(given), _MOST_HELD_OUT) if enough else 0
    add([int(i) for i in rng.permutation(given)], held)
    first = given
    for count in runs:
        add(list(range(first, first + count)), _held(count) if count >= FEWEST else 0)
        first += count
    if not test:
        raise PetDriverError(
            f"the {given} given and {sum(runs)} sampled structures are too few to hold some out; "
            "give more, or sample longer"
        )
    return Parts(*([int(i) for i in rng.permutation(x)] for x in (training, validation, test)))


def _held(count: int) -> int:
    """Number of validation structures, and of test structures, among so many."""
    return max(int(count * _HELD_OUT), 1)
