"""Check of a hyperparameter that must be one of a few words."""

from __future__ import annotations


def check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a value that is not among those allowed.

    :raises ValueError: with the value and what is allowed
    """
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}")
