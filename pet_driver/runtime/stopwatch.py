"""Time spent in named parts of the work."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopwatch:
    """Seconds by name, counted since the start or the last `reset`.

    Measurements may be nested; time inside an inner one counts for the inner name only.

    :param clock: seconds of wall-clock time, or `time.process_time` for those of all cores

    >>> stopwatch = Stopwatch()
    >>> with stopwatch.measure("network"):
    ...     with stopwatch.measure("messages"):
    ...         pass
    >>> sorted(stopwatch.seconds)
    ['messages', 'network']
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner = [0.0]

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Add the time spent in the context to a name."""
        start = self.clock()
        self._inner.append(0.0)
        try:
            yield
        finally:
            elapsed = self.clock() - start
            self.seconds[name] += elapsed - self._inner.pop()
            self._inner[-1] += elapsed

    def reset(self) -> None:
        """Forget all times."""
        self.seconds.clear()
