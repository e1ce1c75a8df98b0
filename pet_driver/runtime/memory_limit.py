"""Limits that a container or a batch job sets to the memory of its processes."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import NamedTuple

_GROUPS = Path("/proc/self/cgroup")
_ROOT = Path("/sys/fs/cgroup")
# By version of the control groups: folder below the root, files of the limit and of what is used,
# and the key in memory.stat of pages of files that would be given up.
_VERSIONS = (
    ("", "memory.max", "memory.current", "inactive_file"),
    ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
_LARGEST = 2**60  # bytes; the first version writes a number beyond it where there is no limit


class _Limit(NamedTuple):
    """A limit in bytes, the file of what is used, that of its parts, and the key of a part."""

    size: int
    used: Path
    parts: Path
    key: str


def unused_memory() -> int | None:
    """Bytes that this process may still take by the limits of its control groups; None: no limit.

    https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
    """
    left = [_left(limit) for limit in _limits()]
    return min((x for x in left if x is not None), default=None)


@functools.cache  # a job does not change its groups, and this is asked in every step
def _limits() -> tuple[_Limit, ...]:
    return tuple(limits_of(_GROUPS, _ROOT))


def limits_of(groups: Path, root: Path) -> list[_Limit]:
    """Limits of the control groups that a file names and of the groups around them.

    :param groups: as /proc/self/cgroup; root: folder of the control groups
    """
    found = []
    for controllers, name in _names(groups):
        version = _VERSIONS[0] if not controllers else _VERSIONS[1]
        if controllers and "memory" not in controllers.split(","):
            continue
        folder, limit_file, used_file, key = version
        top = root / folder
        group = top / name.lstrip("/")
        for place in (group, *group.parents):
            if top not in (place, *place.parents):
                break
            size = _number(place / limit_file)
            if size is not None and size < _LARGEST:
                found.append(_Limit(size, place / used_file, place / "memory.stat", key))
    return found


def _names(groups: Path) -> list[tuple[str, str]]:
    """Controllers, none in the second version, and name of each group."""
    try:
        lines = groups.read_text().splitlines()
    except OSError:  # not Linux
        return []
    parts = [line.split(":", 2) for line in lines]
    return [(part[1], part[2]) for part in parts if len(part) == 3]


def _left(limit: _Limit) -> int | None:
    used = _number(limit.used)
    return None if used is None else max(limit.size - used + _given_up(limit), 0)


def _given_up(limit: _Limit) -> int:
    """Bytes among those used that the system would give up; 0 if it does not say so."""
    try:
        parts = dict(line.split() for line in limit.parts.read_text().splitlines())
        return int(parts.get(limit.key, 0))
    except (OSError, ValueError):
        return 0


def _number(path: Path) -> int | None:
    """Content of a file; None: no number, such as "max", or no such file."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
