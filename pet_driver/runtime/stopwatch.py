"""Time spent in named parts of the work."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Seconds by name, counted since the start or the last `reset`.

    Measurements may be nested; time inside an inner one counts for the inner name only.

    >>> stopwatch = Stopwatch()
    >>> with stopwatch.measure("network"):
    ...     with stopwatch.measure("messages"):
    ...         pass
    >>> sorted(stopwatch.seconds)
    ['messages', 'network']
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner = [0.0]

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Add the time spent in the context to a name."""
        start = time.perf_counter()
        self._inner.append(0.0)
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            self.seconds[name] += elapsed - self._inner.pop()
            self._inner[-1] += elapsed

    def reset(self) -> None:
        """Forget all times."""
        self.seconds.clear()
